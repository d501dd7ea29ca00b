package purge_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/forget"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/purge"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// A purge keeps away from writers, keeps what a write that is open is about, clears
// away what dead ones left, and obeys the policy of the token.
func TestPurge(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Local("a")
	dir := w.Path(r)
	here := func(id core.ObjectID) bool {
		_, err := coretest.TryRun(t.Context(), dir, "", "cat-file", "-e", string(id))
		return err == nil
	}
	copies := &forget.Registry{}
	s := purge.New(purge.Options{Git: w.Git, Repos: w.Repos, Store: w.Store, Copies: copies, Clock: w.Clock, Wait: 50 * time.Millisecond})
	all := func(c commit.Caller) (purge.Result, error) { return s.Purge(t.Context(), c, purge.Request{All: true}) }

	main := coretest.Commit(t, dir, "main")
	open, closed := coretest.Commit(t, dir, "of an open write", main), coretest.Commit(t, dir, "of a dropped one", main)
	coretest.Run(t, dir, "update-ref", "refs/heads/main", string(main))
	coretest.Run(t, dir, "update-ref", "refs/notes/commits", string(coretest.Commit(t, dir, "note")))
	kept := core.Rewrite{ID: core.NewID("rw", w.Clock.Now()), RepoID: r.ID, JournalID: "jrn_0", Ref: "refs/heads/main", Old: coretest.Commit(t, dir, "kept"), New: main, State: core.RewriteRetained, CreatedAt: w.Clock.Now()}
	require.NoError(t, w.Store.AddRewrite(t.Context(), kept))
	coretest.Run(t, dir, "update-ref", kept.KeptRef(), string(kept.Old))
	entry := core.JournalEntry{ID: core.NewID("jrn", w.Clock.Now()), RepoID: r.ID, State: core.JournalSent, CreatedAt: w.Clock.Now(), Updates: []core.RefUpdate{{Name: "refs/heads/x", New: open}}}
	require.NoError(t, w.Store.OpenJournal(t.Context(), entry))

	// Side by side, each shared by what it calls; a purge waits for all of them.
	ctx, done, err := w.Repos.Writing(t.Context(), r.ID)
	require.NoError(t, err)
	_, inner, err := w.Repos.Writing(ctx, r.ID)
	require.NoError(t, err)
	done()
	for range 2 { // the first that waited has let go of the barrier
		_, err = all(commit.Caller{Repo: r})
		require.Equal(t, core.KindConflict, core.KindOf(err))
		require.ErrorContains(t, err, "try again when they have ended")
	}
	require.True(t, here(closed), "nothing was changed")
	inner()
	unlock, ok := w.Repos.Locks().TryMaintain(r.ID)
	require.True(t, ok)
	_, err = all(commit.Caller{Repo: r})
	require.Equal(t, core.KindConflict, core.KindOf(err))
	unlock()

	policy, err := access.ParsePolicy([]byte(`[["refs/heads/main",["no-force-push"]]]`), nil)
	require.NoError(t, err)
	for _, q := range []purge.Request{{All: true}, {ID: kept.ID}} {
		_, err = s.Purge(t.Context(), commit.Caller{Repo: r, Policy: policy}, q)
		require.Equal(t, core.KindPermission, core.KindOf(err))
	}

	stale := filepath.Join(dir, "objects", "tmp_objdir-incoming-dead")
	require.NoError(t, os.Mkdir(stale, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "objects", "pack", "tmp_pack_dead"), []byte("x"), 0o600))
	// What a purge pinned that was killed is let go at the next start.
	require.NoError(t, w.Repos.Pin(t.Context(), r.ID, []core.ObjectID{closed}))
	require.Len(t, w.Refs(r, core.InternalPrefix+"pinned/"), 1)
	require.NoError(t, w.Repos.Recover(t.Context()))
	require.Empty(t, w.Refs(r, core.InternalPrefix+"pinned/"))
	require.NoError(t, os.MkdirAll(stale, 0o700))

	one, err := s.Purge(t.Context(), commit.Caller{Repo: r}, purge.Request{ID: kept.ID})
	require.NoError(t, err)
	require.Equal(t, []string{kept.ID}, one.Rewrites)
	for id, want := range map[core.ObjectID]bool{main: true, open: true, closed: false, kept.Old: false} {
		require.Equal(t, want, here(id))
		forgotten, err := w.Store.Forgotten(t.Context(), r.ID, []core.ObjectID{id})
		require.NoError(t, err)
		require.Equal(t, id == kept.Old, len(forgotten) > 0, "only what was named is forgotten")
	}
	require.NoDirExists(t, stale)
	require.NoFileExists(t, filepath.Join(dir, "objects", "pack", "tmp_pack_dead"))
	require.Len(t, w.Refs(r, "refs/"), 2, "no pin is left")
	require.NotEmpty(t, w.Refs(r, "refs/notes/"))

	// With all, what no ref leads to is forgotten besides; a copy that cannot is named.
	require.NoError(t, w.Store.CloseJournal(t.Context(), entry.ID, core.JournalDropped, nil, w.Clock.Now()))
	broken := core.Errorf(core.KindInternal, "remove bundle 7")
	copies.Add("bundles", forget.Func(func(_ context.Context, _ core.Repository, ids []core.ObjectID) error {
		require.Contains(t, ids, open)
		return broken
	}))
	_, err = all(commit.Caller{Repo: r})
	require.ErrorContains(t, err, "forget in the bundles: remove bundle 7")
	require.False(t, here(open))
	forgotten, err := w.Store.Forgotten(t.Context(), r.ID, []core.ObjectID{open})
	require.NoError(t, err)
	require.NotEmpty(t, forgotten)
	require.Empty(t, coretest.Run(t, dir, "fsck", "--strict", "--no-dangling", "--no-progress"))
}
