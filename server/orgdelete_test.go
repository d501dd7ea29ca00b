package server_test

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// TestOrganisation_deletion deletes an organisation that has a mirror with a webhook, a
// repository in the trash, an outbound webhook and a shared credential.
func TestOrganisation_deletion(t *testing.T) {
	t.Parallel()
	forge := newForge(t, forgetest.SeedOptions{Commits: 3})
	b := &bench{forge: forge, Server: servertest.Start(t, servertest.Options{
		Forges: []*forgetest.TestForge{forge}, Hosts: []string{"  poll = \"off\"\n"}, Public: true, KeepDeleted: kept,
	})}
	b.store = servertest.Store(t, b.Dir)
	b.Mirror(t, mirror, forge, origin)
	b.awaitHook(t, "active")
	b.Create(t, "in/trash")
	folders := []string{repo.PathIn(b.Dir, b.Repo(t, mirror).ID), repo.PathIn(b.Dir, b.Repo(t, "in/trash").ID)}
	_, err := b.REST(t, "in/trash").DeleteRepository(t.Context(), "in/trash", nil)
	require.NoError(t, err)
	org := b.Token(t, "org")
	_, err = b.store.SharedCredentials(t.Context(), servertest.Org)
	require.NoError(t, err)
	require.NoError(t, b.store.CreateOrg(t.Context(), core.Org{Name: "other", CreatedAt: time.Now()}))

	_, err = b.REST(t, mirror).DeleteOrganisation(t.Context(), client.DeleteOrganisationRequest{Name: new(servertest.Org)})
	servertest.RequireRefused(t, http.StatusForbidden, err)
	_, err = b.REST(t, "org").DeleteOrganisation(t.Context(), client.DeleteOrganisationRequest{Name: new("other")})
	servertest.RequireRefused(t, http.StatusBadRequest, err)
	begun, err := b.REST(t, "org").DeleteOrganisation(t.Context(), client.DeleteOrganisationRequest{Name: new(servertest.Org)})
	require.NoError(t, err)
	require.Equal(t, 1, begun.Repositories)
	for _, path := range []string{"/api/repos", "/api/organisation", "/api/audit"} {
		require.Equal(t, http.StatusUnauthorized, b.Call(t, http.MethodGet, path, org, nil).Status, "%s: the answer says that no token opens anything any more", path)
	}

	require.Eventually(t, func() bool {
		_, err := b.store.Org(t.Context(), servertest.Org)
		return core.KindOf(err) == core.KindNotFound
	}, time.Minute, 20*time.Millisecond)
	for _, folder := range folders {
		require.NoDirExists(t, folder)
	}
	require.Eventually(t, func() bool {
		left, err := filepath.Glob(filepath.Join(b.Dir, "tmp", "delete-*"))
		return err == nil && len(left) == 0
	}, time.Minute, 20*time.Millisecond, "what was in them stays")
	require.Eventually(t, func() bool { return len(forge.Webhooks(origin)) == 0 }, time.Minute, 25*time.Millisecond, "the webhook at the host stays")
	require.Empty(t, b.eventTypes(t))
	require.Subset(t, b.audited(t), []string{"org.delete", "org.deleted", "repository.delete"})
	all, err := b.store.Orgs(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1, "another organisation has gone, too")
}

// TestOrganisation_deletionAfterACrash kills the server between two repositories.
func TestOrganisation_deletionAfterACrash(t *testing.T) {
	t.Parallel()
	o := servertest.Options{Dir: t.TempDir()}
	p := servertest.StartProcess(t, o)
	for _, name := range []string{"a", "b", "c", "d"} {
		p.Create(t, name)
	}
	p.Arm(t, "org-repository-deleted")
	_, err := p.REST(t, "org").DeleteOrganisation(t.Context(), client.DeleteOrganisationRequest{Name: new(servertest.Org)})
	require.NoError(t, err)
	p.AwaitHits(t, 1)
	p.Kill()
	store := servertest.Store(t, o.Dir)
	usage, err := store.OrgUsage(t.Context(), servertest.Org)
	require.NoError(t, err)
	require.Equal(t, 3, usage.Repositories, "it was not killed between two repositories")
	err = store.CreateRepository(t.Context(), core.Repository{ID: core.NewID("repo", time.Now()), Org: servertest.Org, Name: "new", DefaultBranch: "main", ObjectFormat: "sha1"})
	require.Equal(t, core.KindConflict, core.KindOf(err), "it takes a new repository: %v", err)

	servertest.Start(t, o)
	require.Eventually(t, func() bool {
		_, err := store.Org(t.Context(), servertest.Org)
		return core.KindOf(err) == core.KindNotFound
	}, time.Minute, 20*time.Millisecond)
	left, err := filepath.Glob(filepath.Join(o.Dir, "repos", "*", "*", "*.git"))
	require.NoError(t, err)
	require.Empty(t, left)
}
