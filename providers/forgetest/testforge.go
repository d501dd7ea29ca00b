package forgetest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestForge is a [Forge] of one test: what cannot be done fails the test.
type TestForge struct {
	*Forge
	t testing.TB
}

// StartForge starts a forge in the test's temporary folder and closes it when
// the test ends.
func StartForge(t testing.TB, o ForgeOptions) *TestForge {
	t.Helper()
	f, err := NewForge(t.TempDir(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return &TestForge{Forge: f, t: t}
}

// CreateRepo is [Forge.CreateRepo].
func (f *TestForge) CreateRepo(path string, private bool) {
	f.t.Helper()
	require.NoError(f.t, f.Forge.CreateRepo(path, private))
}

// Seed is [Forge.Seed].
func (f *TestForge) Seed(repo string, o SeedOptions) {
	f.t.Helper()
	require.NoError(f.t, f.Forge.Seed(repo, o))
}

// Git is [Forge.Git].
func (f *TestForge) Git(repo string, args ...string) string {
	f.t.Helper()
	out, err := f.Forge.Git(repo, args...)
	require.NoError(f.t, err)
	return out
}

// Ref is [Forge.Ref].
func (f *TestForge) Ref(repo, name string) string {
	f.t.Helper()
	id, err := f.Forge.Ref(repo, name)
	require.NoError(f.t, err)
	return id
}

// Refs is [Forge.Refs].
func (f *TestForge) Refs(repo string) map[string]string {
	f.t.Helper()
	refs, err := f.Forge.Refs(repo)
	require.NoError(f.t, err)
	return refs
}

// Protect is [Forge.Protect].
func (f *TestForge) Protect(repo, pattern string) {
	f.t.Helper()
	require.NoError(f.t, f.Forge.Protect(repo, pattern))
}

// ProtectFromDeletion is [Forge.ProtectFromDeletion].
func (f *TestForge) ProtectFromDeletion(repo, pattern string) {
	f.t.Helper()
	require.NoError(f.t, f.Forge.ProtectFromDeletion(repo, pattern))
}

// Refuse is [Forge.Refuse].
func (f *TestForge) Refuse(repo string, r Refusal) {
	f.t.Helper()
	require.NoError(f.t, f.Forge.Refuse(repo, r))
}

// Unprotect is [Forge.Unprotect].
func (f *TestForge) Unprotect(repo string) {
	f.t.Helper()
	require.NoError(f.t, f.Forge.Unprotect(repo))
}

// RenameRepo is [Forge.RenameRepo].
func (f *TestForge) RenameRepo(path, to string) {
	f.t.Helper()
	require.NoError(f.t, f.Forge.RenameRepo(path, to))
}

// RepoID is [Forge.RepoID].
func (f *TestForge) RepoID(path string) string {
	f.t.Helper()
	id, err := f.Forge.RepoID(path)
	require.NoError(f.t, err)
	return id
}

// AddWebhook is [Forge.AddWebhook].
func (f *TestForge) AddWebhook(repo string, w Webhook) string {
	f.t.Helper()
	id, err := f.Forge.AddWebhook(repo, w)
	require.NoError(f.t, err)
	return id
}

// Payloads is [Forge.Payloads].
func (f *TestForge) Payloads(repo string, e Event, secret string, instance bool) []Delivery {
	f.t.Helper()
	list, err := f.Forge.Payloads(repo, e, secret, instance)
	require.NoError(f.t, err)
	return list
}

// Deliver is [Forge.Deliver], and waits until all is delivered.
func (f *TestForge) Deliver(repo string, events ...Event) {
	f.t.Helper()
	require.NoError(f.t, f.Forge.Deliver(repo, events...))
	f.Settle()
}

// Settle is [Forge.Settle].
func (f *TestForge) Settle() {
	f.t.Helper()
	require.NoError(f.t, f.Forge.Settle(f.t.Context()))
}

// HoldRefs is [Forge.HoldRefs].
func (f *TestForge) HoldRefs(repo string) (release func()) {
	f.t.Helper()
	release, err := f.Forge.HoldRefs(repo)
	require.NoError(f.t, err)
	return release
}
