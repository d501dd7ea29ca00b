package server_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/providers/forgetest"
	rest "github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// rename renames a repository.
func (b *bench) rename(t *testing.T, from, to string) (rest.Repository, error) {
	t.Helper()
	return b.REST(t, from).RenameRepository(t.Context(), from, rest.RenameRequest{Name: &to})
}

// TestRename_formerNameGoesOn has clients and tokens of before use a mirror that was
// renamed, until another repository has its name.
func TestRename_formerNameGoesOn(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 3})
	const later = "group/renamed"
	client := b.work(t) // its remote and its token have the former name
	id := b.Repo(t, mirror).ID
	b.Create(t, "other/one")
	for to, status := range map[string]int{"other/one": http.StatusConflict, "bad.git": http.StatusBadRequest, "": http.StatusBadRequest} {
		_, err := b.rename(t, mirror, to)
		servertest.RequireRefused(t, status, err)
	}
	renamed, err := b.rename(t, mirror, later)
	require.NoError(t, err)
	require.Equal(t, id, renamed.RepoID)
	require.Equal(t, later, renamed.RepoName)
	d, err := repo.ReadDescription(repo.PathIn(b.Dir, id))
	require.NoError(t, err)
	require.Equal(t, later, d.Name)

	// Former URL and token, former token at the new URL, and the other way round.
	client.Commit("after the rename")
	client.Git("push", "--quiet", "origin", "HEAD:main")
	require.Equal(t, b.forge.Refs(origin)["refs/heads/main"], b.Refs(t, later)["refs/heads/main"])
	client.Git("fetch", b.Remote(later))
	b.Client(t, later).Git("ls-remote", b.Remote(mirror))
	for _, token := range []string{b.Token(t, mirror), b.Token(t, later), b.Token(t, id)} {
		for _, path := range []string{"/api/repos/team%2Fmirror", "/api/repos/group%2Frenamed", "/api/v1/repo"} {
			shown := b.Call(t, http.MethodGet, path, token, nil)
			require.Equal(t, http.StatusOK, shown.Status, "%s: %s", path, shown.Raw)
			require.Equal(t, later, shown.At("repo_name"))
		}
	}
	require.Equal(t, http.StatusForbidden, b.Call(t, http.MethodGet, "/api/repos/other%2Fone", b.Token(t, mirror), nil).Status)
	require.NoError(t, b.Sync(t, later))

	// Nobody takes the former name by renaming: who knows it would reach another one.
	_, err = b.rename(t, "other/one", mirror)
	require.ErrorContains(t, servertest.RequireRefused(t, http.StatusConflict, err), "had this name")

	// A new repository takes it: everything of the name is about that one.
	b.Create(t, mirror)
	require.NotEqual(t, id, b.Repo(t, mirror).ID)
	require.Equal(t, http.StatusForbidden, b.Call(t, http.MethodGet, "/api/repos/group%2Frenamed", b.Token(t, mirror), nil).Status)
	_, err = client.Try("push", "--quiet", b.Remote(later), "HEAD:main")
	require.Error(t, err)

	require.Contains(t, b.audited(t), "repository.rename")
	require.Contains(t, b.eventTypes(t), core.EventRepositoryRenamed)
}

func TestRename_backAndForth(t *testing.T) {
	t.Parallel()
	b := startBench(t, forgetest.SeedOptions{Commits: 3}, servertest.Options{KeepDeleted: kept})
	for _, name := range []string{"a/one", "a/two", "a/one", mirror} {
		_, err := b.rename(t, mirror, name)
		require.NoError(t, err)
		require.Equal(t, name, b.Repository(t, mirror).RepoName)
	}
	_, err := b.rename(t, mirror, mirror)
	require.NoError(t, err, "to the name it has")
	require.Equal(t, mirror, b.Repository(t, "a/two").RepoName)

	// Former names lead nowhere while it is in the trash, and again after it.
	b.deleted(t)
	_, err = b.REST(t, "a/two").GetRepository(t.Context(), "a/two")
	servertest.RequireRefused(t, http.StatusNotFound, err)
	_, err = b.undelete(t, mirror, "")
	require.NoError(t, err)
	require.Equal(t, mirror, b.Repository(t, "a/two").RepoName)
}
