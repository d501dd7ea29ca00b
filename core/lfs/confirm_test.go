package lfs

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// waits runs something that pauses n times.
func (b *bench) waits(n int, f func()) {
	b.t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	for range n {
		b.clock.Await(confirmPause)
		b.clock.Advance(confirmPause)
	}
	<-done
}

// A lock whose answer is lost is looked for at the host before anything is said of it.
func TestService_Lock_answerLost(t *testing.T) {
	t.Parallel()
	down := core.Errorf(core.KindUpstreamUnavailable, "the host does not answer")
	for name, tt := range map[string]struct {
		set   func(b *bench)
		waits int
		owner string // of the lock that is reported as in the way
		says  string
	}{
		"made":              {func(b *bench) { b.up.lost = "done" }, 0, "", ""},
		"made a bit later":  {func(b *bench) { b.up.lost, b.up.late = "done", true }, 1, "", ""},
		"not made":          {func(b *bench) { b.up.lost = "undone" }, 1, "", `"a.bin" is not locked: the answer of the upstream was lost`},
		"no list":           {func(b *bench) { b.up.lost, b.up.mute = "done", down }, 2, "", `outcome unknown: the upstream may have locked "a.bin"`},
		"no list is wanted": {func(b *bench) { b.up.lost, b.up.mute = "done", core.Errorf(core.KindUpstreamRejected, "no") }, 0, "", "git lfs unlock --force"},
		"another account": {func(b *bench) {
			b.up.lost = "done"
			b.up.locks = []Lock{{ID: "x", Path: "a.bin", Owner: "eve", LockedAt: b.clock.Now()}}
		}, 0, "eve", ""},
		"the account, an hour ago": {func(b *bench) {
			b.up.lost = "done"
			b.up.locks = []Lock{{ID: "x", Path: "a.bin", Owner: "account", LockedAt: b.clock.Now().Add(-time.Hour)}}
		}, 0, "account", ""},
		"somebody here": {func(b *bench) {
			_, err := b.Lock(b.t.Context(), b.copy, "bob", "a.bin", "")
			require.NoError(b.t, err)
			b.up.lost = "done"
		}, 0, "bob", ""},
	} {
		b := newBench(t)
		tt.set(b)
		var l Lock
		var err error
		b.waits(tt.waits, func() { l, err = b.Lock(t.Context(), b.copy, "ada", "a.bin", "") })
		b.up.lost, b.up.mute = "", nil
		all, _, lerr := b.Locks(t.Context(), b.copy, "ada", LockQuery{})
		require.NoError(t, lerr, name)
		var locked *LockedError
		switch {
		case tt.says != "":
			requireKind(t, core.KindUpstreamUnavailable, err)
			require.Contains(t, core.MessageOf(err), tt.says, name)
		case tt.owner != "":
			require.ErrorAs(t, err, &locked, name)
			require.Equal(t, tt.owner, locked.Lock.Owner, name)
		default:
			require.NoError(t, err, name)
			require.Equal(t, "ada", l.Owner, name)
			require.Equal(t, []OwnedLock{{l, true}}, all, name)
			continue
		}
		for _, one := range all {
			require.False(t, one.Ours, name)
		}
	}
}

// Two who ask here for one path at the same time are not both given the one lock of the
// host's account.
func TestService_Lock_answersLostSideBySide(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.up.lost = "done"
	second := make(chan error, 1)
	b.up.between = func() {
		b.up.between = nil
		go func() {
			_, err := b.Lock(t.Context(), b.copy, "bob", "a.bin", "")
			second <- err
		}()
	}
	l, err := b.Lock(t.Context(), b.copy, "ada", "a.bin", "")
	require.NoError(t, err)
	require.Equal(t, "ada", l.Owner)
	var locked *LockedError
	require.ErrorAs(t, <-second, &locked)
	require.Equal(t, "ada", locked.Lock.Owner)
}

// The removal of a lock whose answer is lost is looked for as well.
func TestService_Unlock_answerLost(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		lost  string
		mute  error
		waits int
		says  string
	}{
		"removed":     {"done", nil, 0, ""},
		"not removed": {"undone", nil, 1, `"a.bin" is still locked`},
		"no list":     {"done", core.Errorf(core.KindUpstreamUnavailable, "the host does not answer"), 2, "outcome unknown"},
	} {
		b := newBench(t)
		made, err := b.Lock(t.Context(), b.copy, "ada", "a.bin", "")
		require.NoError(t, err)
		b.up.lost, b.up.mute = tt.lost, tt.mute
		var gone Lock
		b.waits(tt.waits, func() { gone, err = b.Unlock(t.Context(), b.copy, "ada", made.ID, "", false) })
		rows, lerr := b.store.LFSLocks(t.Context(), core.LFSLockFilter{RepoID: b.copy.ID, Limit: 10})
		require.NoError(t, lerr)
		if tt.says == "" {
			require.NoError(t, err, name)
			require.Equal(t, made, gone)
			require.Empty(t, rows, name)
			continue
		}
		requireKind(t, core.KindUpstreamUnavailable, err)
		require.Contains(t, core.MessageOf(err), tt.says, name)
		require.Len(t, rows, 1, "it is still known whose it is")
	}
}
