// Package storetest is the definition of a [core.Store]: what passes [Run] is one.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// Database opens one database. Every call gives another handle on the same
// data, as another process would have it; the test that calls it ends before
// the handle is closed.
type Database func(t *testing.T) core.Store

// Run runs the suite. Each test calls fresh for an empty database of its own;
// tests run in parallel.
func Run(t *testing.T, fresh func(t *testing.T) Database) {
	run(t, fresh, []group{
		{"Org", orgTests},
		{"Token", tokenTests},
		{"Repository", repositoryTests},
		{"Sync", syncTests},
		{"Run", runTests},
		{"Credential", credentialTests},
		{"Journal", journalTests},
		{"Event", eventTests},
		{"EventFeed", feedTests},
		{"Webhook", webhookTests},
		{"Delivery", deliveryTests},
		{"Inbound", inboundTests},
		{"Expectation", expectationTests},
		{"Poll", pollTests},
		{"Upstream", upstreamTests},
		{"Settings", settingsTests},
		{"Rewrite", rewriteTests},
		{"Forgotten", forgottenTests},
		{"Trash", trashTests},
		{"Alias", aliasTests},
		{"Audit", auditTests},
		{"MirrorSet", mirrorSetTests},
		{"SharedCredential", sharedCredentialTests},
		{"Limit", limitTests},
		{"Listing", listingTests},
		{"PublicRead", publicReadTests},
		{"Retention", retentionTests},
		{"Damage", damageTests},
		{"LFS", lfsTests},
		{"LFS mirrors", lfsMirrorTests},
		{"Overview", overviewTests},
		{"Idempotency", idempotencyTests},
		{"Console", consoleTests},
		{"Tx", txTests},
		{"Concurrency", concurrencyTests},
		{"Reopen", reopenTests},
	})
}

// SideBySide runs the part of the suite in which several callers meet: what is worth
// running under the race detector, which makes a database in Go ten times as slow.
func SideBySide(t *testing.T, fresh func(t *testing.T) Database) {
	run(t, fresh, []group{{"Inbound", inboundTests}, {"Console", consoleTests}, {"Tx", txTests}, {"Concurrency", concurrencyTests}})
}

// group are the tests about one noun.
type group struct {
	name  string
	tests []namedTest
}

func run(t *testing.T, fresh func(t *testing.T) Database, groups []group) {
	t.Helper()
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, test := range group.tests {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					open := fresh(t)
					test.run(&fixture{T: t, ctx: t.Context(), open: open, store: open(t)})
				})
			}
		})
	}
}

type namedTest struct {
	name string
	run  func(f *fixture)
}

// fixture is one test with its database.
type fixture struct {
	*testing.T
	ctx   context.Context
	open  Database
	store core.Store
}

// day is when the tests happen. It has microseconds, which a store must keep.
func day(offset time.Duration) time.Time {
	return time.Date(2031, 2, 3, 4, 5, 6, 123456000, time.UTC).Add(offset)
}

// id returns a new id of that prefix.
func id(prefix string) string { return core.NewID(prefix, day(0)) }

// org creates an organisation.
func (f *fixture) org(name string) {
	f.Helper()
	require.NoError(f, f.store.CreateOrg(f.ctx, core.Org{Name: name, CreatedAt: day(0)}))
}

// local returns a repository without upstream, not stored yet.
func local(org, name string) core.Repository {
	return core.Repository{
		ID: id("repo"), Org: org, Name: name, DefaultBranch: "main", ObjectFormat: "sha1", CreatedAt: day(time.Minute),
	}
}

// synced returns a repository with an upstream, not stored yet.
func synced(org, name string) core.Repository {
	r := local(org, name)
	r.Upstream = &core.Upstream{
		Provider: "gitlab", Instance: "work", Mode: "token", Host: "gitlab.example", Owner: "group/sub", Name: "tool",
		URL: "https://gitlab.example/group/sub/tool.git", DefaultBranch: "trunk",
	}
	return r
}

// create stores a repository.
func (f *fixture) create(r core.Repository) core.Repository {
	f.Helper()
	require.NoError(f, f.store.CreateRepository(f.ctx, r))
	return r
}

// synced creates organisation "acme" and a synced repository.
func (f *fixture) synced() core.Repository {
	f.Helper()
	f.org("acme")
	return f.create(synced("acme", "tool"))
}

// kind requires an [*core.Error] of that kind, which says what was done.
func (f *fixture) kind(want core.Kind, err error) {
	f.Helper()
	require.Error(f, err)
	var failure *core.Error
	require.ErrorAs(f, err, &failure)
	require.Equal(f, want, failure.Kind, "%v", err)
	require.NotEmpty(f, failure.Op)
	require.NotEmpty(f, failure.Message)
}

// same requires that got equals want.
func same[T any](f *fixture, want, got T) {
	f.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		f.Fatalf("want -, got +:\n%s", diff)
	}
}

// sync reads a sync state.
func (f *fixture) sync(repoID string) core.SyncState {
	f.Helper()
	s, err := f.store.SyncState(f.ctx, repoID)
	require.NoError(f, err)
	return s
}

// request asks for a sync and returns its generation.
func (f *fixture) request(repoID, ref string) int64 {
	f.Helper()
	wanted, err := f.store.RequestSync(f.ctx, repoID, "api", ref)
	require.NoError(f, err)
	return wanted
}

// take starts serving.
func (f *fixture) take(repoID string) core.SyncState {
	f.Helper()
	s, err := f.store.TakeSync(f.ctx, repoID)
	require.NoError(f, err)
	return s
}

// save stores a sync state, by all that write parts of it.
func (f *fixture) save(s core.SyncState) {
	f.Helper()
	require.NoError(f, f.store.FinishSync(f.ctx, s))
	require.NoError(f, f.store.SetPoll(f.ctx, s.RepoID, s.PollAt))
	require.NoError(f, f.store.SetNotice(f.ctx, s.RepoID, s.Notice))
}
