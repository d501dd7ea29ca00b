package server_test

import (
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/providers/forgetest"
	rest "github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

const kept = 7 * 24 * time.Hour

// deleted deletes the mirror into the trash.
func (b *bench) deleted(t *testing.T) rest.DeletedRepository {
	t.Helper()
	gone, err := b.REST(t, mirror).DeleteRepository(t.Context(), mirror, nil)
	require.NoError(t, err)
	require.Equal(t, "repository deleted", gone.Message)
	return gone
}

// undelete brings a repository back; as is its new name, "" the one it had.
func (b *bench) undelete(t *testing.T, name, as string) (rest.Repository, error) {
	t.Helper()
	return b.REST(t, name).UndeleteRepository(t.Context(), name, rest.UndeleteRequest{Name: &as})
}

// notUndeleted requires that a repository cannot be brought back, and returns why.
func (b *bench) notUndeleted(t *testing.T, status int, name, as string) error {
	t.Helper()
	_, err := b.undelete(t, name, as)
	return servertest.RequireRefused(t, status, err)
}

// TestTrash_bringsEverythingBack deletes a mirror with a webhook at its host, a
// credential, settings and an ephemeral branch.
func TestTrash_bringsEverythingBack(t *testing.T) {
	t.Parallel()
	forge := newForge(t, forgetest.SeedOptions{Commits: 5, Branches: 2, Tags: 2})
	b := &bench{forge: forge, Server: servertest.Start(t, servertest.Options{
		Forges: []*forgetest.TestForge{forge}, Hosts: []string{"  poll = \"off\"\n"}, Public: true, KeepDeleted: kept,
	})}
	b.store = servertest.Store(t, b.Dir)
	b.Mirror(t, mirror, forge, origin)
	b.awaitHook(t, "active")
	require.Len(t, forge.Webhooks(origin), 1)
	address := forge.Webhooks(origin)[0].URL
	client := b.work(t)
	client.Commit("only here")
	client.Git("push", "--quiet", b.URL+"/"+mirror+"+ephemeral.git", "HEAD:draft")
	before, id := b.Refs(t, mirror), b.Repo(t, mirror).ID

	gone := b.deleted(t)
	require.NotNil(t, gone.KeptUntil)
	require.Eventually(t, func() bool { return len(forge.Webhooks(origin)) == 0 }, time.Minute, 10*time.Millisecond, "the webhook at the host stays")
	require.Equal(t, http.StatusNotFound, b.API(t, http.MethodGet, mirror, "", nil).Status)
	require.NotEqual(t, http.StatusOK, b.API(t, http.MethodGet, id, "", nil).Status, "its id opens it")
	require.NotEqual(t, http.StatusOK, b.Call(t, http.MethodGet, "/api/repos/.git%2F"+id, b.Token(t, ".git/"+id), nil).Status)
	out, err := client.Try("ls-remote", b.Remote(mirror))
	require.Error(t, err, out)
	_, err = client.Try("push", b.Remote(mirror), "HEAD:main")
	require.Error(t, err, "a push into the trash")
	require.NotEqual(t, http.StatusOK, b.deliver(t, address, forgetest.Delivery{}), "its address takes deliveries")
	org := b.REST(t, "org")
	listed, err := org.ListRepositories(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, listed.Repos)
	listed, err = org.ListRepositories(t.Context(), &rest.ListRepositoriesParams{State: new("deleted"), Sort: new("name")})
	require.NoError(t, err)
	require.Len(t, listed.Repos, 1)
	require.Equal(t, mirror, listed.Repos[0].RepoName)
	require.NotNil(t, listed.Repos[0].DeletedAt)

	// A token for another repository learns nothing, and brings nothing back.
	require.Equal(t, http.StatusForbidden, b.Call(t, http.MethodPost, "/api/repos/team%2Fmirror/undelete", b.Token(t, "team/other"), nil).Status)

	back, err := b.undelete(t, mirror, "")
	require.NoError(t, err)
	require.Equal(t, id, back.RepoID)
	require.NotNil(t, back.Credential, "the credential is lost")
	require.Equal(t, before, b.Refs(t, mirror))
	b.awaitHook(t, "active")
	require.Len(t, forge.Webhooks(origin), 1)
	require.NotEqual(t, address, forge.Webhooks(origin)[0].URL, "it has the address of before")
	b.hostPush(t, b.direct(t), "HEAD:refs/heads/after")
	b.settle(t)
	b.requireSame(t)
	client.Git("push", "--quiet", b.Remote(mirror), "HEAD:refs/heads/pushed")
	b.requireSame(t)
	b.notUndeleted(t, http.StatusNotFound, mirror, "")

	words := b.audited(t)
	require.Contains(t, words, "repository.delete")
	require.Contains(t, words, "repository.undelete")
	require.Subset(t, b.eventTypes(t), []string{core.EventRepositoryDeleted, core.EventRepositoryUndeleted})
}

// audited returns the actions of the audit.
func (b *bench) audited(t *testing.T) (words []string) {
	t.Helper()
	entries, err := b.store.Audit(t.Context(), core.AuditFilter{Org: servertest.Org, Limit: 500})
	require.NoError(t, err)
	for _, e := range entries {
		words = append(words, e.Action)
	}
	return words
}

// eventTypes returns the types of all events.
func (b *bench) eventTypes(t *testing.T) (types []string) {
	t.Helper()
	events, err := b.store.Events(t.Context(), 0, 1000)
	require.NoError(t, err)
	for _, e := range events {
		types = append(types, e.Type)
	}
	return types
}

func TestTrash_nameIsFreeAtOnce(t *testing.T) {
	t.Parallel()
	b := startBench(t, forgetest.SeedOptions{Commits: 3}, servertest.Options{KeepDeleted: kept})
	old := b.Refs(t, mirror)
	first := b.Repo(t, mirror).ID
	b.deleted(t)
	b.Create(t, mirror)
	require.ErrorContains(t, b.notUndeleted(t, http.StatusConflict, mirror, ""), "--as NAME")
	b.notUndeleted(t, http.StatusBadRequest, mirror, "no/../name")
	require.Len(t, b.Refs(t, mirror), 1, "the new one has something of the old one")

	// The new one goes into the trash, too: the last one comes back first, the other by id.
	b.deleted(t)
	_, err := b.undelete(t, mirror, "")
	require.NoError(t, err)
	require.Len(t, b.Refs(t, mirror), 1)
	_, err = b.undelete(t, first, "team/of-before")
	require.NoError(t, err)
	require.Equal(t, old, b.Refs(t, "team/of-before"))
	require.NoError(t, b.Sync(t, "team/of-before"))
	require.EqualValues(t, "ready", b.Repository(t, "team/of-before").Sync.State)
	d, err := repo.ReadDescription(repo.PathIn(b.Dir, first))
	require.NoError(t, err)
	require.Equal(t, "team/of-before", d.Name)
}

func TestTrash_removesWhatExpired(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	b := startBench(t, forgetest.SeedOptions{Commits: 3}, servertest.Options{KeepDeleted: kept, Clock: clock})
	folder := repo.PathIn(b.Dir, b.Repo(t, mirror).ID)
	b.deleted(t)
	clock.Advance(kept - 2*time.Minute)
	require.DirExists(t, folder)
	usage, err := b.store.OrgUsage(t.Context(), servertest.Org)
	require.NoError(t, err)
	require.Zero(t, usage.Repositories)

	b.Stop(t)
	b.Server = servertest.Start(t, servertest.Options{Dir: b.Dir, Forges: []*forgetest.TestForge{b.forge}, KeepDeleted: kept, Clock: clock})
	require.DirExists(t, folder, "a start removes it")
	require.NotContains(t, b.Log.String(), "is not in the store")
	require.Eventually(t, func() bool {
		clock.Advance(time.Minute)
		_, err := os.Stat(folder)
		return os.IsNotExist(err)
	}, time.Minute, 20*time.Millisecond)
	b.notUndeleted(t, http.StatusNotFound, mirror, "")
	require.Eventually(t, func() bool { return slices.Contains(b.audited(t), "repository.expire") }, time.Minute, 20*time.Millisecond)
}

func TestTrash_now(t *testing.T) {
	t.Parallel()
	b := startBench(t, forgetest.SeedOptions{Commits: 3}, servertest.Options{KeepDeleted: kept})
	folder := repo.PathIn(b.Dir, b.Repo(t, mirror).ID)
	require.Equal(t, http.StatusBadRequest, b.API(t, http.MethodDelete, mirror, "?now=maybe", nil).Status)
	gone, err := b.REST(t, mirror).DeleteRepository(t.Context(), mirror, &rest.DeleteRepositoryParams{Now: new(true)})
	require.NoError(t, err)
	require.Nil(t, gone.KeptUntil)
	require.NoDirExists(t, folder)
	b.notUndeleted(t, http.StatusNotFound, mirror, "")

	b.Create(t, mirror)
	folder = repo.PathIn(b.Dir, b.Repo(t, mirror).ID)
	b.deleted(t)
	require.DirExists(t, folder)
	_, err = b.REST(t, mirror).PurgeDeletedRepository(t.Context(), mirror)
	require.NoError(t, err)
	require.NoDirExists(t, folder)
}
