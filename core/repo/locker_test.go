package repo_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/repo"
)

func lockRefs(t *testing.T, l repo.Locker, refs ...string) func() {
	t.Helper()
	locks, err := repo.LockRefs(t.Context(), l, "repo_1", refs, nil)
	require.NoError(t, err)
	return locks.Release
}

func TestLocker_LockRefs_excludesSameRefOnly(t *testing.T) {
	t.Parallel()
	l := repo.NewLocker()
	unlock := lockRefs(t, l, "refs/heads/b", "refs/heads/a", "refs/heads/a") // twice is once
	lockRefs(t, l, "refs/heads/c")()
	other, err := l.LockRef(t.Context(), "repo_2", "refs/heads/a", nil)
	require.NoError(t, err)
	other()

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	waited := 0
	_, err = repo.LockRefs(ctx, l, "repo_1", []string{"refs/heads/0", "refs/heads/a"}, func() { waited++ })
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 1, waited)
	lockRefs(t, l, "refs/heads/0")() // what the loser held is free again

	unlock()
	unlock() // a second time is harmless
	lockRefs(t, l, "refs/heads/a", "refs/heads/b")()
}

func TestLocker_LockRefs_givesTheReasonOfTheContext(t *testing.T) {
	t.Parallel()
	l := repo.NewLocker()
	defer lockRefs(t, l, "refs/heads/a")()
	gone := errors.New("client is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	_, err := l.LockRef(ctx, "repo_1", "refs/heads/a", nil)
	require.ErrorIs(t, err, gone)
}

func TestLocker_RefLocked_isTrueWhileHeldAndForNoWaiter(t *testing.T) {
	t.Parallel()
	l := repo.NewLocker()
	require.False(t, l.RefLocked("repo_1", "refs/heads/a"))
	unlock := lockRefs(t, l, "refs/heads/a")
	require.True(t, l.RefLocked("repo_1", "refs/heads/a"))
	require.False(t, l.RefLocked("repo_2", "refs/heads/a"))
	require.False(t, l.RefLocked("repo_1", "refs/heads/b"))
	unlock()
	require.False(t, l.RefLocked("repo_1", "refs/heads/a"))
}

func TestLocker_TryMaintain_letsOneIn(t *testing.T) {
	t.Parallel()
	l := repo.NewLocker()
	unlock, ok := l.TryMaintain("repo_1")
	require.True(t, ok)
	_, again := l.TryMaintain("repo_1")
	require.False(t, again)
	write, err := l.LockWrite(t.Context(), "repo_1") // another lock
	require.NoError(t, err)
	write()
	unlock()
	unlock, ok = l.TryMaintain("repo_1")
	require.True(t, ok)
	unlock()
}

// Sessions with overlapping sets of refs, in any order, neither deadlock nor
// meet; each gets its turn.
func TestLocker_LockRefs_manySessions(t *testing.T) {
	t.Parallel()
	l := repo.NewLocker()
	var inside [5]atomic.Int32
	var done sync.WaitGroup
	for worker := range 16 {
		done.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 200 {
				set := rng.Perm(5)[:1+rng.IntN(3)]
				refs := make([]string, len(set))
				for i, n := range set {
					refs[i] = "refs/heads/" + strconv.Itoa(n)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				if rng.IntN(4) == 0 {
					cancel() // some give up, at any point
				}
				locks, err := repo.LockRefs(ctx, l, "repo_1", refs, nil)
				cancel()
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("worker %d starved: %v", worker, err)
						return
					}
					continue
				}
				for _, n := range set {
					if inside[n].Add(1) != 1 {
						t.Errorf("two sessions hold ref %d", n)
					}
				}
				for _, n := range set {
					inside[n].Add(-1)
				}
				locks.Release()
			}
		})
	}
	done.Wait()
	require.Zero(t, repo.LockEntries(l), "entries are left behind")
}
