package repo_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
}

// oddFolder is the name of a data directory that is a pattern to whoever takes it
// for one, and then matches everything but itself.
const oddFolder = "data [a-z]*?"

func TestInvariant17_recoverRemovesWhatKilledGitsLeave(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{Folder: oddFolder})
	r := w.Local("a")
	one := coretest.Commit(t, w.Path(r), "one")
	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/main", New: one}))
	stale := []string{
		"HEAD.lock", "packed-refs.lock", "packed-refs.new", "config.lock", "shallow.lock", "gc.pid",
		"refs/heads/main.lock", "refs/heads/feature/x.lock", "refs/internal/upstream/heads/x.lock",
		"objects/pack/tmp_pack_x", "objects/pack/tmp_idx_x", "objects/pack/.tmp-1-pack-x.pack", "objects/pack/multi-pack-index.lock",
		"objects/pack/pack-1.keep", "objects/pack/pack-2.keep",
		"objects/tmp_objdir-incoming-x/pack/pack-x.pack", "objects/17/tmp_obj_x",
		"objects/info/commit-graph.lock", "objects/info/commit-graphs/commit-graph-chain.lock", "objects/info/commit-graphs/tmp_graph_x",
	}
	for _, s := range stale {
		content := "x"
		switch s {
		case "objects/pack/pack-1.keep":
			content = "fetch-pack 1 on host\n"
		case "objects/pack/pack-2.keep":
			content = "receive-pack 1 on host\n"
		}
		write(t, filepath.Join(w.Path(r), s), content)
	}
	write(t, filepath.Join(w.Path(r), "refs/internal/upstream/heads/empty"), "") // after a power cut
	write(t, filepath.Join(w.Path(r), "objects/pack/pack-3.keep"), "by hand\n")
	require.Error(t, apply(w, r, core.RefUpdate{Name: "refs/heads/main", Old: one}))

	w.Open()
	require.NoError(t, w.Repos.Recover(t.Context()))
	for _, s := range append(stale, "refs/internal/upstream/heads/empty") {
		require.NoFileExists(t, filepath.Join(w.Path(r), s))
	}
	require.FileExists(t, filepath.Join(w.Path(r), "objects/pack/pack-3.keep"))
	require.NoError(t, os.Remove(filepath.Join(w.Path(r), "objects/pack/pack-3.keep")))
	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/main", Old: one}))
	coretest.Run(t, w.Path(r), "fsck", "--full")
}

func TestInvariant17_recoverFinishesCreationsAndDeletions(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{Folder: oddFolder})
	kept := w.Local("kept")
	gone := w.Local("gone")
	// A deletion that ended after the folder was taken away, one that ended
	// after the store had forgotten it, too; and two creations.
	require.NoError(t, os.Rename(w.Path(gone), filepath.Join(w.Dir, "tmp", "delete-"+gone.ID+".git")))
	write(t, filepath.Join(w.Dir, "tmp", "delete-repo_unknown.git", "HEAD"), "x")
	write(t, filepath.Join(w.Dir, "tmp", "create-repo_half.git", "HEAD"), "x")
	unknown := core.NewID("repo", w.Clock.Now())
	require.NoError(t, w.Repos.Create(t.Context(), unknown, "main", "sha1"))
	content := core.NewID("repo", w.Clock.Now())
	require.NoError(t, w.Repos.Create(t.Context(), content, "main", "sha1"))
	coretest.Commit(t, w.Repos.Path(content), "one")

	w.Open()
	require.NoError(t, w.Repos.Recover(t.Context()))
	left, err := os.ReadDir(filepath.Join(w.Dir, "tmp"))
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = w.Store.RepositoryByID(t.Context(), gone.ID)
	require.Equal(t, core.KindNotFound, core.KindOf(err))
	require.True(t, w.Repos.Exists(kept.ID))
	require.False(t, w.Repos.Exists(unknown))
	require.True(t, w.Repos.Exists(content), "the store may be the wrong one")
	require.NoError(t, w.Repos.Recover(t.Context()), "again")
}

func TestRepos_Delete_leavesNothing(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Local("a")
	require.NoError(t, w.Repos.Delete(t.Context(), r.ID))
	require.False(t, w.Repos.Exists(r.ID))
	_, err := w.Store.RepositoryByID(t.Context(), r.ID)
	require.Equal(t, core.KindNotFound, core.KindOf(err))
	require.NoError(t, w.Repos.Delete(t.Context(), r.ID), "again")
}

// crash is what a failpoint panics with.
type crash string

func crashes(t *testing.T, at string, f func()) {
	t.Helper()
	defer func() { require.Equal(t, crash(at), recover()) }()
	f()
}

func TestRepos_Reformat_changesTheFormatOfAnEmptyRepositoryOnly(t *testing.T) {
	t.Parallel()
	at := ""
	w := coretest.NewWorld(t, coretest.Options{Failpoint: func(name string) {
		if name == at {
			panic(crash(name))
		}
	}})
	r := w.Synced("a")
	format := func() string {
		return coretest.Run(t, w.Path(r), "rev-parse", "--show-object-format")
	}
	at = "reformat-moved"
	crashes(t, at, func() { _ = w.Repos.Reformat(t.Context(), r.ID, "trunk", "sha256") })
	at = ""
	w.Open()
	require.NoError(t, w.Repos.Recover(t.Context()))
	require.True(t, w.Repos.Exists(r.ID), "it must not vanish")
	require.Equal(t, "sha1", format())

	require.NoError(t, w.Repos.Reformat(t.Context(), r.ID, "trunk", "sha256"))
	require.Equal(t, "sha256", format())
	require.Equal(t, "refs/heads/trunk", coretest.Run(t, w.Path(r), "symbolic-ref", "HEAD"))

	one := coretest.Commit(t, w.Path(r), "one")
	require.Len(t, string(one), 64)
	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/main", New: one}))
	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/new", New: one}, core.RefUpdate{Name: "refs/heads/main", Old: one}))
	require.Equal(t, core.KindConflict, core.KindOf(w.Repos.Reformat(t.Context(), r.ID, "main", "sha1")))
	require.Equal(t, "sha256", format())
}

func TestRepos_Path_refusesWhatIsNoID(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	for _, id := range []string{"", "abc", "../../etc", "repo_../x", `a\b\c\d`} {
		require.Panics(t, func() { w.Repos.Path(id) }, id)
	}
}
