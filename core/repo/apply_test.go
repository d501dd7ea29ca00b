package repo_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/repo"
)

// journal opens an entry of a push.
func journal(w *coretest.World, r core.Repository, source core.Source, updates ...core.RefUpdate) core.JournalEntry {
	w.Helper()
	now := w.Clock.Now()
	j := core.JournalEntry{
		ID: core.NewID("jrn", now), RepoID: r.ID, Source: source, Actor: "t", State: core.JournalSent, Updates: updates, CreatedAt: now,
		Upstream: r.Upstream != nil && source != core.SourceSync,
	}
	require.NoError(w, w.Store.OpenJournal(w.Context(), j))
	return j
}

func apply(w *coretest.World, r core.Repository, updates ...core.RefUpdate) error {
	w.Helper()
	return w.Repos.ApplyRefUpdates(w.Context(), repo.Apply{Repo: r, Journal: journal(w, r, core.SourcePush, updates...)})
}

func TestRepos_ApplyRefUpdates_movesRefsAndTellsOnce(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Local("a")
	var told []int
	w.Repos.OnApplied(func(id string, moved int) { told = append(told, moved) })
	one := coretest.Commit(t, w.Path(r), "one")
	two := coretest.Commit(t, w.Path(r), "two", one)

	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/main", New: one}, core.RefUpdate{Name: "refs/notes/x", New: one}))
	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/main", Old: one, New: two}, core.RefUpdate{Name: "refs/notes/x", Old: one}))
	require.Equal(t, map[string]core.ObjectID{"refs/heads/main": two}, w.Refs(r, "refs/"))
	require.Equal(t, []string{"refs/heads/main", "refs/notes/x", "refs/heads/main", "refs/notes/x"}, w.Events(r))
	require.Equal(t, []core.JournalState{core.JournalApplied, core.JournalApplied}, w.Journal(r))
	require.Equal(t, r.Version+2, w.Reload(r).Version)
	require.Equal(t, []int{2, 2}, told)
}

func TestRepos_ApplyRefUpdates_refusesWhatIsElsewhere(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Local("a")
	one := coretest.Commit(t, w.Path(r), "one")
	two := coretest.Commit(t, w.Path(r), "two", one)
	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/main", New: one}))
	missing := core.ObjectID("1234567890123456789012345678901234567890")
	for name, tc := range map[string]struct {
		update core.RefUpdate
		kind   git.UpdateRefErrorKind
	}{
		"create of what is there": {core.RefUpdate{Name: "refs/heads/main", New: two}, git.RefStale},
		"stale":                   {core.RefUpdate{Name: "refs/heads/main", Old: two, New: one}, git.RefStale},
		"stale delete":            {core.RefUpdate{Name: "refs/heads/main", Old: two}, git.RefStale},
		"delete of what is gone":  {core.RefUpdate{Name: "refs/heads/gone", Old: two}, git.RefStale},
		"name conflict":           {core.RefUpdate{Name: "refs/heads/main/x", New: one}, git.RefConflict},
		"missing object":          {core.RefUpdate{Name: "refs/heads/new", New: missing}, git.RefNoObject},
	} {
		err := apply(w, r, core.RefUpdate{Name: "refs/heads/ok", New: one}, tc.update)
		re, ok := repo.IsRefError(err)
		require.True(t, ok, "%s: %v", name, err)
		require.Equal(t, tc.kind, re.Kind, name)
		require.Equal(t, map[string]core.ObjectID{"refs/heads/main": one}, w.Refs(r), name)
	}
	require.Len(t, w.Events(r), 1)
	require.Equal(t, r.Version+1, w.Reload(r).Version)
}

func TestInvariant13_renameToFolder(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Local("a")
	one := coretest.Commit(t, w.Path(r), "one")
	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/a", New: one}))
	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/a/b", New: one}, core.RefUpdate{Name: "refs/heads/a", Old: one}))
	require.Equal(t, map[string]core.ObjectID{"refs/heads/a/b": one}, w.Refs(r))
	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/a", New: one}, core.RefUpdate{Name: "refs/heads/a/b", Old: one}))
	require.Equal(t, map[string]core.ObjectID{"refs/heads/a": one}, w.Refs(r))
}

func TestInvariant02_failureAfterTheDeletesBringsThemBack(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	one := coretest.Commit(t, w.Path(r), "one")
	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/a", New: one}, core.RefUpdate{Name: "refs/heads/main", New: one}))
	err := apply(w, r, core.RefUpdate{Name: "refs/heads/a", Old: one}, core.RefUpdate{Name: "refs/heads/main/x", New: one})
	re, ok := repo.IsRefError(err)
	require.True(t, ok)
	require.Equal(t, git.RefConflict, re.Kind)
	require.Equal(t, map[string]core.ObjectID{"refs/heads/a": one, "refs/heads/main": one}, w.Refs(r))
	require.Len(t, w.Events(r), 2)
}

func TestRepos_ApplyRefUpdates_takesTrackingRefsAlong(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	one := coretest.Commit(t, w.Path(r), "one")
	two := coretest.Commit(t, w.Path(r), "two", one)
	setDigest := func() { require.NoError(t, w.Store.SetDigest(t.Context(), r.ID, "digest")) }
	digest := func() string {
		s, err := w.Store.SyncState(t.Context(), r.ID)
		require.NoError(t, err)
		return s.Digest
	}

	setDigest()
	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/notes/x", New: one}))
	require.Equal(t, "digest", digest(), "a local ref is not in a listing")
	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/main", New: one}, core.RefUpdate{Name: "refs/tags/v1", New: one}))
	require.Empty(t, digest())
	require.Equal(t, map[string]core.ObjectID{
		"refs/internal/upstream/heads/main": one, "refs/internal/upstream/tags/v1": one,
	}, w.Refs(r, core.TrackingPrefix))

	// A running fetch has moved them already, or they were never there.
	coretest.Run(t, w.Path(r), "update-ref", "refs/internal/upstream/heads/main", string(two))
	coretest.Run(t, w.Path(r), "update-ref", "-d", "refs/internal/upstream/tags/v1")
	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/main", Old: one, New: two}, core.RefUpdate{Name: "refs/tags/v1", Old: one}))
	require.Equal(t, map[string]core.ObjectID{"refs/internal/upstream/heads/main": two}, w.Refs(r, core.TrackingPrefix))

	// A sync moves public refs to where its fetch put the tracking refs.
	setDigest()
	j := journal(w, r, core.SourceSync, core.RefUpdate{Name: "refs/heads/main", Old: two, New: one})
	require.NoError(t, w.Repos.ApplyRefUpdates(t.Context(), repo.Apply{Repo: r, Journal: j}))
	require.Equal(t, two, w.Refs(r, core.TrackingPrefix)["refs/internal/upstream/heads/main"])
	require.Equal(t, "digest", digest())
}

func TestRepos_ApplyRefUpdates_ephemeralIsNeitherTrackedNorTold(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	one := coretest.Commit(t, w.Path(r), "one")
	j := journal(w, r, core.SourcePush, core.RefUpdate{Name: "refs/heads/main", New: one})
	j.Namespace = core.Ephemeral
	watch := w.Repos.Watch(r.ID)
	defer watch.Close()
	require.NoError(t, w.Repos.ApplyRefUpdates(t.Context(), repo.Apply{Repo: r, Journal: j}))
	require.Equal(t, map[string]core.ObjectID{core.EphemeralPrefix + "refs/heads/main": one}, w.Refs(r, "refs/"))
	require.Empty(t, w.Events(r))
	require.False(t, watch.Moved("refs/heads/main"), "another ref of that name")
}

func TestRepos_ApplyRefUpdates_detachedMeanwhile(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	one := coretest.Commit(t, w.Path(r), "one")
	j := journal(w, r, core.SourcePush, core.RefUpdate{Name: "refs/heads/main", New: one})
	require.NoError(t, w.Store.DetachUpstream(t.Context(), r.ID))
	require.NoError(t, w.Repos.ApplyRefUpdates(t.Context(), repo.Apply{Repo: r, Journal: j}))
	require.Len(t, w.Events(r), 1)
}

func TestRepos_ApplyRefUpdates_reconcileDoesWhatIsLeftAndTellsAll(t *testing.T) {
	t.Parallel()
	for name, inPlace := range map[string]bool{"nothing was done": false, "half was done": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := coretest.NewWorld(t, coretest.Options{})
			r := w.Local("a")
			one := coretest.Commit(t, w.Path(r), "one")
			require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/old", New: one}))
			j := journal(w, r, core.SourcePush, core.RefUpdate{Name: "refs/heads/old", Old: one}, core.RefUpdate{Name: "refs/heads/new", New: one})
			if inPlace {
				coretest.Run(t, w.Path(r), "update-ref", "-d", "refs/heads/old")
			}
			for range 2 { // a crash in recovery makes it run again
				require.NoError(t, w.Repos.ApplyRefUpdates(t.Context(), repo.Apply{Repo: r, Journal: j, Reconcile: true}))
				require.Equal(t, map[string]core.ObjectID{"refs/heads/new": one}, w.Refs(r))
				require.Equal(t, []string{"refs/heads/old", "refs/heads/old", "refs/heads/new"}, w.Events(r))
			}
		})
	}
}

func TestRepos_ApplyRefUpdates_quietTellsNothingAndFollowsHead(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	one := coretest.Commit(t, w.Path(r), "one")
	j := journal(w, r, core.SourceSync)
	j.Updates = []core.RefUpdate{{Name: "refs/heads/trunk", New: one}}
	also := false
	require.NoError(t, w.Repos.ApplyRefUpdates(t.Context(), repo.Apply{
		Repo: r, Journal: j, Quiet: true, Head: "refs/heads/trunk",
		Also: func(q core.Queries) error { also = true; return q.SetDefaultBranch(t.Context(), r.ID, "trunk") },
	}))
	require.True(t, also)
	all, err := w.Store.Events(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Empty(t, all)
	require.Equal(t, "refs/heads/trunk", coretest.Run(t, w.Path(r), "symbolic-ref", "HEAD"))
	require.Equal(t, "trunk", w.Reload(r).DefaultBranch)
}

func TestRepos_ApplyRefUpdates_headThatCannotMoveLosesNoFact(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	one := coretest.Commit(t, w.Path(r), "one")
	require.NoError(t, os.WriteFile(filepath.Join(w.Path(r), "HEAD.lock"), nil, 0o600))
	j := journal(w, r, core.SourceSync, core.RefUpdate{Name: "refs/heads/trunk", New: one})
	err := w.Repos.ApplyRefUpdates(t.Context(), repo.Apply{
		Repo: r, Journal: j, Head: "refs/heads/trunk",
		Also: func(q core.Queries) error { return q.SetDefaultBranch(t.Context(), r.ID, "trunk") },
	})
	var applied *repo.AppliedError
	require.ErrorAs(t, err, &applied)
	require.True(t, applied.Recorded)
	require.Equal(t, []string{"refs/heads/trunk"}, w.Events(r))
	require.Equal(t, []core.JournalState{core.JournalApplied}, w.Journal(r))
	require.Equal(t, "main", w.Reload(r).DefaultBranch)
}

func TestInvariant23_eventOnlyWithTheRecord(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Local("a")
	one := coretest.Commit(t, w.Path(r), "one")
	j := journal(w, r, core.SourcePush, core.RefUpdate{Name: "refs/heads/main", New: one})
	full := errors.New("disk full")
	w.Store.Fail(full)
	err := w.Repos.ApplyRefUpdates(t.Context(), repo.Apply{Repo: r, Journal: j})
	w.Store.Fail(nil)
	var applied *repo.AppliedError
	require.ErrorAs(t, err, &applied)
	require.False(t, applied.Recorded)
	require.ErrorIs(t, err, full)
	require.Empty(t, w.Events(r))
	require.Equal(t, []core.JournalState{core.JournalSent}, w.Journal(r), "open, for the next start")
}

func TestWatch_Moved_seesSessionsAndNotSyncs(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	one := coretest.Commit(t, w.Path(r), "one")
	before := w.Repos.Watch(r.ID)
	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/main", New: one}))
	j := journal(w, r, core.SourceSync, core.RefUpdate{Name: "refs/heads/x", New: one})
	require.NoError(t, w.Repos.ApplyRefUpdates(t.Context(), repo.Apply{Repo: r, Journal: j}))
	after := w.Repos.Watch(r.ID)
	require.True(t, before.Moved("refs/heads/main"))
	require.True(t, before.Any())
	require.False(t, before.Moved("refs/heads/x"))
	require.False(t, after.Any())
	unlock, err := w.Repos.Locks().LockRefs(t.Context(), r.ID, []string{"refs/heads/x"}, nil)
	require.NoError(t, err)
	require.True(t, after.Moved("refs/heads/x"), "it may be about to move")
	unlock()
	before.Close()
	after.Close()
	before.Close() // a second time is harmless
}

func TestRepos_ApplyRefUpdates_waitsForTheWriteLock(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Local("a")
	one := coretest.Commit(t, w.Path(r), "one")
	unlock, err := w.Repos.Locks().LockWrite(t.Context(), r.ID)
	require.NoError(t, err)
	j := journal(w, r, core.SourcePush, core.RefUpdate{Name: "refs/heads/main", New: one})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, w.Repos.ApplyRefUpdates(ctx, repo.Apply{Repo: r, Journal: j}), context.Canceled)
	unlock()
	require.Empty(t, w.Refs(r))
	require.NoError(t, w.Repos.ApplyRefUpdates(t.Context(), repo.Apply{Repo: r, Journal: j}))
}
