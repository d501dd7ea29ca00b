package repo_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/repo"
)

// intent is a push or a sync of the updates.
func intent(r core.Repository, source core.Source, updates ...core.RefUpdate) repo.Intent {
	in := repo.Intent{Repo: r, Source: source, Actor: "t", Updates: updates}
	if r.Upstream != nil && source != core.SourceSync {
		in.Upstream = func(context.Context) repo.Answer { return repo.Answer{Accepted: updates} } // it takes all
	}
	return in
}

// transact carries an intent out and returns why it is not applied, if it is not.
func transact(w *coretest.World, in repo.Intent) error {
	w.Helper()
	o, err := w.Repos.Transact(w.Context(), in)
	require.NoError(w, err)
	return o.Err
}

// interrupted is the entry of an intent that a crash cut off.
func interrupted(w *coretest.World, r core.Repository, source core.Source, updates ...core.RefUpdate) repo.Unfinished {
	w.Helper()
	now := w.Clock.Now()
	j := core.JournalEntry{
		ID: core.NewID("jrn", now), RepoID: r.ID, Source: source, Actor: "t", State: core.JournalSent, Updates: updates, CreatedAt: now,
	}
	require.NoError(w, w.Store.OpenJournal(w.Context(), j))
	return repo.Unfinished{Entry: j}
}

// resume settles an entry all of whose updates became true.
func resume(w *coretest.World, r core.Repository, u repo.Unfinished) {
	w.Helper()
	o, err := w.Repos.Resume(w.Context(), u, r, repo.Answer{Accepted: u.Entry.Updates}, nil)
	require.NoError(w, err)
	require.Equal(w, core.JournalApplied, o.State)
}

func apply(w *coretest.World, r core.Repository, updates ...core.RefUpdate) error {
	w.Helper()
	return transact(w, intent(r, core.SourcePush, updates...))
}

func TestRepos_Transact_movesRefsAndTellsOnce(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Local("a")
	var notified []int
	w.Repos.OnApplied(func(id string, moved int) { notified = append(notified, moved) })
	one := coretest.Commit(t, w.Path(r), "one")
	two := coretest.Commit(t, w.Path(r), "two", one)

	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/main", New: one}, core.RefUpdate{Name: "refs/notes/x", New: one}))
	require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/main", Old: one, New: two}, core.RefUpdate{Name: "refs/notes/x", Old: one}))
	require.Equal(t, map[string]core.ObjectID{"refs/heads/main": two}, w.Refs(r, "refs/"))
	require.Equal(t, []string{"refs/heads/main", "refs/notes/x", "refs/heads/main", "refs/notes/x"}, w.Events(r))
	require.Equal(t, []core.JournalState{core.JournalApplied, core.JournalApplied}, w.Journal(r))
	require.Equal(t, r.Version+2, w.Reload(r).Version)
	require.Equal(t, []int{2, 2}, notified)
}

func TestRepos_Transact_refusesWhatIsElsewhere(t *testing.T) {
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

func TestRepos_Transact_takesTrackingRefsAlong(t *testing.T) {
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
	require.NoError(t, transact(w, intent(r, core.SourceSync, core.RefUpdate{Name: "refs/heads/main", Old: two, New: one})))
	require.Equal(t, two, w.Refs(r, core.TrackingPrefix)["refs/internal/upstream/heads/main"])
	require.Equal(t, "digest", digest())
}

func TestRepos_Transact_ephemeralIsNeitherTrackedNorNotified(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	one := coretest.Commit(t, w.Path(r), "one")
	in := intent(r, core.SourcePush, core.RefUpdate{Name: "refs/heads/main", New: one})
	in.Namespace = core.Ephemeral
	watch := w.Repos.Watch(r.ID)
	defer watch.Close()
	require.NoError(t, transact(w, in))
	require.Equal(t, map[string]core.ObjectID{core.EphemeralPrefix + "refs/heads/main": one}, w.Refs(r, "refs/"))
	require.Empty(t, w.Events(r))
	require.False(t, watch.Moved("refs/heads/main"), "another ref of that name")
}

func TestRepos_Transact_detachedMeanwhile(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	one := coretest.Commit(t, w.Path(r), "one")
	in := intent(r, core.SourcePush, core.RefUpdate{Name: "refs/heads/main", New: one})
	require.NoError(t, w.Store.DetachUpstream(t.Context(), r.ID))
	require.NoError(t, transact(w, in))
	require.Len(t, w.Events(r), 1)
}

func TestRepos_Transact_resumeDoesWhatIsLeftAndTellsAll(t *testing.T) {
	t.Parallel()
	for name, inPlace := range map[string]bool{"nothing was done": false, "half was done": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := coretest.NewWorld(t, coretest.Options{})
			r := w.Local("a")
			one := coretest.Commit(t, w.Path(r), "one")
			require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/old", New: one}))
			left := interrupted(w, r, core.SourcePush, core.RefUpdate{Name: "refs/heads/old", Old: one}, core.RefUpdate{Name: "refs/heads/new", New: one})
			if inPlace {
				coretest.Run(t, w.Path(r), "update-ref", "-d", "refs/heads/old")
			}
			for range 2 { // a crash in recovery makes it run again
				resume(w, r, left)
				require.Equal(t, map[string]core.ObjectID{"refs/heads/new": one}, w.Refs(r))
				require.Equal(t, []string{"refs/heads/old", "refs/heads/old", "refs/heads/new"}, w.Events(r))
			}
		})
	}
}

func TestRepos_Transact_firstMirrorTellsNothingAndFollowsHead(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	one := coretest.Commit(t, w.Path(r), "one")
	in := intent(r, core.SourceSync, core.RefUpdate{Name: "refs/heads/trunk", New: one})
	in.First, in.Head = true, "refs/heads/trunk"
	in.RecordHead = func(ctx context.Context, q core.Queries) error { return q.SetDefaultBranch(ctx, r.ID, "trunk") }
	require.NoError(t, transact(w, in))
	all, err := w.Store.Events(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Empty(t, all)
	require.Equal(t, "refs/heads/trunk", coretest.Run(t, w.Path(r), "symbolic-ref", "HEAD"))
	require.Equal(t, "trunk", w.Reload(r).DefaultBranch)
}

func TestRepos_Transact_headThatCannotMoveLosesNoFact(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	one := coretest.Commit(t, w.Path(r), "one")
	require.NoError(t, os.WriteFile(filepath.Join(w.Path(r), "HEAD.lock"), nil, 0o600))
	in := intent(r, core.SourceSync, core.RefUpdate{Name: "refs/heads/trunk", New: one})
	in.Head = "refs/heads/trunk"
	in.RecordHead = func(ctx context.Context, q core.Queries) error { return q.SetDefaultBranch(ctx, r.ID, "trunk") }
	err := transact(w, in)
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
	full := errors.New("disk full")
	var left []repo.Unfinished
	w.Repos.OnLeft(func(u repo.Unfinished) { left = append(left, u) })
	w.Store.Fail(full) // its transactions; to open an entry takes none
	o, err := w.Repos.Transact(t.Context(), intent(r, core.SourcePush, core.RefUpdate{Name: "refs/heads/main", New: one}))
	w.Store.Fail(nil)
	require.NoError(t, err, "past the journal there are outcomes only")
	require.Equal(t, core.JournalSent, o.State)
	err = o.Err
	require.Len(t, left, 1)
	require.Equal(t, o.Entry.ID, left[0].Entry.ID)
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
	require.NoError(t, transact(w, intent(r, core.SourceSync, core.RefUpdate{Name: "refs/heads/x", New: one})))
	after := w.Repos.Watch(r.ID)
	require.True(t, before.Moved("refs/heads/main"))
	require.True(t, before.Any())
	require.False(t, before.Moved("refs/heads/x"))
	require.False(t, after.Any())
	unlock, err := w.Repos.Locks().LockRef(t.Context(), r.ID, "refs/heads/x", nil)
	require.NoError(t, err)
	require.True(t, after.Moved("refs/heads/x"), "it may be about to move")
	unlock()
	before.Close()
	after.Close()
	before.Close() // a second time is harmless
}

func TestRepos_Transact_waitsForTheWriteLock(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Local("a")
	one := coretest.Commit(t, w.Path(r), "one")
	unlock, err := w.Repos.Locks().LockWrite(t.Context(), r.ID)
	require.NoError(t, err)
	var left []repo.Unfinished
	w.Repos.OnLeft(func(u repo.Unfinished) { left = append(left, u) })
	in := intent(r, core.SourcePush, core.RefUpdate{Name: "refs/heads/main", New: one})
	in.LocalTimeout = time.Millisecond
	require.ErrorIs(t, transact(w, in), context.DeadlineExceeded)
	unlock()
	require.Empty(t, w.Refs(r))
	require.Len(t, left, 1, "nobody lost it")
	resume(w, r, left[0])
	require.Equal(t, map[string]core.ObjectID{"refs/heads/main": one}, w.Refs(r))
}

// Before the journal there is an error and nothing else; past it, the end of the
// caller's context ends nothing.
func TestInvariant02_contextEndsNothingPastTheJournal(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	w := coretest.NewWorld(t, coretest.Options{Failpoint: func(name string) {
		if name == "journal-sent" {
			cancel()
		}
	}})
	r := w.Local("a")
	one := coretest.Commit(t, w.Path(r), "one")
	in := intent(r, core.SourcePush, core.RefUpdate{Name: "refs/heads/main", New: one})
	o, err := w.Repos.Transact(ctx, in)
	require.NoError(t, err)
	require.Equal(t, core.JournalApplied, o.State)
	require.Error(t, ctx.Err())
	_, err = w.Repos.Transact(ctx, intent(r, core.SourcePush, core.RefUpdate{Name: "refs/heads/x", New: one}))
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, []core.JournalState{core.JournalApplied}, w.Journal(r))
}

// What the upstream said of a push decides its states, and what stays open keeps
// its locks and no other.
func TestInvariant03_transactByTheUpstreamsAnswer(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{})
	r := w.Synced("a")
	one := coretest.Commit(t, w.Path(r), "one")
	a, b, c := core.RefUpdate{Name: "refs/heads/a", New: one}, core.RefUpdate{Name: "refs/heads/b", New: one}, core.RefUpdate{Name: "refs/heads/a/c", New: one}
	var left []repo.Unfinished
	w.Repos.OnLeft(func(u repo.Unfinished) {
		for _, up := range u.Entry.Updates {
			if unlock := u.Locks.Take(up.Name); unlock != nil {
				w.Cleanup(unlock)
			}
		}
		left = append(left, u)
	})
	for _, tc := range []struct {
		name    string
		updates []core.RefUpdate
		answer  repo.Answer
		state   core.JournalState
		journal []core.JournalState // newest first
		open    []core.RefUpdate
	}{
		{"all refused", []core.RefUpdate{a}, repo.Answer{}, core.JournalDropped, []core.JournalState{core.JournalDropped}, nil},
		{"some unknown", []core.RefUpdate{a, b}, repo.Answer{Accepted: []core.RefUpdate{a}, Unknown: []core.RefUpdate{b}}, core.JournalApplied,
			[]core.JournalState{core.JournalSent, core.JournalApplied, core.JournalDropped}, []core.RefUpdate{b}},
		{"all unknown", []core.RefUpdate{a, b}, repo.Answer{Unknown: []core.RefUpdate{b}}, core.JournalSent,
			[]core.JournalState{core.JournalSent, core.JournalSent, core.JournalApplied, core.JournalDropped}, []core.RefUpdate{b}},
		{"taken, but not possible here", []core.RefUpdate{c}, repo.Answer{Accepted: []core.RefUpdate{c}}, core.JournalLagging,
			[]core.JournalState{core.JournalLagging, core.JournalSent, core.JournalSent, core.JournalApplied, core.JournalDropped}, nil},
	} {
		left = nil
		in := intent(r, core.SourcePush, tc.updates...)
		in.Upstream = func(context.Context) repo.Answer {
			open, err := w.Store.OpenJournals(t.Context())
			require.NoError(t, err)
			require.Equal(t, tc.updates, open[len(open)-1].Updates, "journaled before the upstream gets it")
			return tc.answer
		}
		names := make([]string, len(tc.updates))
		for i, u := range tc.updates {
			names[i] = u.Name
		}
		var locks *repo.RefLocks
		if tc.name != "all unknown" { // the case before left one locked
			var err error
			locks, err = w.Repos.LockRefs(t.Context(), r.ID, names, nil)
			require.NoError(t, err)
		}
		in.Locks = locks
		o, err := w.Repos.Transact(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, tc.state, o.State, tc.name)
		require.Equal(t, tc.journal, w.Journal(r), tc.name)
		var open []core.RefUpdate
		for _, u := range left {
			open = append(open, u.Entry.Updates...)
		}
		require.Equal(t, tc.open, open, tc.name)
		if locks != nil {
			locks.Release()
		}
		require.False(t, w.Repos.Locks().RefLocked(r.ID, a.Name), tc.name)
	}
	require.True(t, w.Repos.Locks().RefLocked(r.ID, b.Name))
	require.Equal(t, map[string]core.ObjectID{a.Name: one}, w.Refs(r))
}
