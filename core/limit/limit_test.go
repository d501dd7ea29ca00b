package limit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/limit"
)

func key(org, key, repo string) limit.Key {
	return limit.Key{Caller: limit.Caller{Organisation: org, Key: key, Subject: "sdk"}, Repository: repo}
}

// clock is a time that only tests move.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	wakes map[chan time.Time]time.Time
}

func newClock() *clock { return &clock{now: time.Unix(0, 0), wakes: map[chan time.Time]time.Time{}} }

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan time.Time, 1)
	c.wakes[ch] = c.now.Add(d)
	return ch
}

// advance moves the time once as many wait for it as are expected.
func (c *clock) advance(t *testing.T, waiting int, d time.Duration) {
	t.Helper()
	require.Eventually(t, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.wakes) == waiting }, time.Minute, time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	for ch, at := range c.wakes {
		if !at.After(c.now) {
			ch <- c.now
			delete(c.wakes, ch)
		}
	}
}

// take takes a slot that must be free.
func take(t *testing.T, l *limit.Limiter, k limit.Key) (release func()) {
	t.Helper()
	before := l.Load()
	release, err := l.Acquire(t.Context(), k)
	require.NoError(t, err)
	require.Equal(t, before.Running+1, l.Load().Running)
	return release
}

// queued is a request that waits.
type queued struct {
	name    string
	release func()
	err     error
}

// queue puts requests into the queue, one after the other, and returns where
// they come out.
func queue(t *testing.T, ctx context.Context, l *limit.Limiter, keys ...limit.Key) <-chan queued { //nolint:revive // t comes first in helpers
	t.Helper()
	out := make(chan queued, len(keys))
	for _, k := range keys {
		before := l.Load().Waiting
		go func() {
			release, err := l.Acquire(ctx, k)
			out <- queued{k.Organisation + k.Key + k.Repository, release, err}
		}()
		require.Eventually(t, func() bool { return l.Load().Waiting == before+1 }, time.Minute, time.Millisecond)
	}
	return out
}

// A caller has half of the places, so on a small machine the ceilings of one caller's
// reads, 256 MiB each there, add up to what the machine has.
func TestPlacesFor(t *testing.T) {
	t.Parallel()
	for memory, want := range map[int64]int{0: 24, 256 << 20: 4, 1 << 30: 8, 2 << 30: 16, 3 << 30: 24, 1 << 40: 24} {
		require.Equal(t, want, limit.PlacesFor(memory), memory)
	}
	require.Equal(t, 4, limit.Options{Ceilings: limit.Ceilings{Server: limit.PlacesFor(1 << 30)}}.WithDefaults().Caller)
}

func TestLimiter_eachCeiling(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ceilings limit.Ceilings
		same     limit.Key // over the ceiling beside key("a", "k", "r")
		other    limit.Key // not
		says     string
	}{
		"caller":       {limit.Ceilings{Caller: 1}, key("a", "k", "other"), key("a", "k2", "r"), "of this token's key and subject"},
		"repository":   {limit.Ceilings{Repository: 1, Caller: 9}, key("a", "k2", "r"), key("a", "k", "r2"), "for this repository"},
		"organisation": {limit.Ceilings{Organisation: 1, Repository: 9, Caller: 9}, key("a", "k2", "r2"), key("b", "k", "r"), "of this organisation"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := limit.New(limit.Options{Ceilings: tt.ceilings, Waiting: -1, Wait: time.Minute})
			release := take(t, l, key("a", "k", "r"))
			_, err := l.Acquire(t.Context(), tt.same)
			var refused *core.Error
			require.ErrorAs(t, err, &refused)
			require.Equal(t, core.KindRateLimited, refused.Kind)
			require.Equal(t, 10*time.Second, refused.RetryAfter)
			require.Contains(t, refused.Message, tt.says)
			require.Contains(t, refused.Message, "try again in 10s")
			take(t, l, tt.other)()
			release()
			release() // of no effect
			take(t, l, tt.same)()
			require.Zero(t, l.Load())
		})
	}
	l := limit.New(limit.Options{Ceilings: limit.Ceilings{Server: 2}, Waiting: -1})
	take(t, l, key("a", "k", "r"))
	take(t, l, key("b", "k", "r2"))
	_, err := l.Acquire(t.Context(), key("c", "k", "r3"))
	require.ErrorContains(t, err, "on this server")
}

// TestLimiter_roundRobin lets an organisation with a long queue meet two with
// short ones: each gets every third slot while it wants one.
func TestLimiter_roundRobin(t *testing.T) {
	t.Parallel()
	l := limit.New(limit.Options{Ceilings: limit.Ceilings{Server: 1, Organisation: 1, Repository: 1, Caller: 1}})
	release := take(t, l, key("z", "k", "r"))
	out := queue(t, t.Context(), l,
		key("a", "1", "r"), key("a", "2", "r"), key("a", "3", "r"), key("a", "4", "r"), key("b", "1", "r"), key("b", "2", "r"), key("c", "1", "r"))
	var order []string
	for range 7 {
		release()
		q := <-out
		require.NoError(t, q.err)
		order, release = append(order, q.name[:2]), q.release
	}
	release()
	require.Equal(t, []string{"a1", "b1", "c1", "a2", "b2", "a3", "a4"}, order)
	require.Zero(t, l.Load())
}

// TestLimiter_leastFirst holds that a caller with much in hand does not keep
// another one of its organisation waiting behind all of its queue.
func TestLimiter_leastFirst(t *testing.T) {
	t.Parallel()
	l := limit.New(limit.Options{Ceilings: limit.Ceilings{Server: 3, Organisation: 3, Repository: 3, Caller: 4}})
	releases := []func(){take(t, l, key("a", "busy", "r")), take(t, l, key("a", "busy", "r")), take(t, l, key("a", "busy", "r"))}
	busy := queue(t, t.Context(), l, key("a", "busy", "r"), key("a", "busy", "r"), key("a", "busy", "r"))
	quiet := queue(t, t.Context(), l, key("a", "quiet", "r"))
	releases[0]()
	q := <-quiet
	require.NoError(t, q.err)
	q.release()
	releases[1]()
	releases[2]()
	for range 3 {
		(<-busy).release()
	}
	require.Zero(t, l.Load())
}

// TestLimiter_boundedQueue holds that one caller cannot fill the queue, and
// that nobody can make it grow beyond its bound.
func TestLimiter_boundedQueue(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	l := limit.New(limit.Options{Ceilings: limit.Ceilings{Server: 1}, Waiting: 8})
	release := take(t, l, key("z", "k", "r"))
	var all []<-chan queued
	for n := range 4 {
		k := key(fmt.Sprint(n), "k", "r")
		all = append(all, queue(t, ctx, l, k, k))
		if n < 3 {
			_, err := l.Acquire(ctx, k)
			require.Equal(t, core.KindRateLimited, core.KindOf(err), "a quarter for each caller")
		}
	}
	_, err := l.Acquire(ctx, key("new", "k", "r"))
	require.Equal(t, core.KindRateLimited, core.KindOf(err))
	require.ErrorContains(t, err, "no more may wait")
	require.Equal(t, limit.Load{Running: 1, Waiting: 8}, l.Load())
	cancel()
	for _, out := range all {
		require.ErrorIs(t, (<-out).err, context.Canceled)
		require.ErrorIs(t, (<-out).err, context.Canceled)
	}
	release()
	require.Zero(t, l.Load())
}

// TestLimiter_oneKeyForAll holds that where all tokens of an organisation are
// of one key and subject, requests for one repository leave room for the others:
// running, and waiting.
func TestLimiter_oneKeyForAll(t *testing.T) {
	t.Parallel()
	l := limit.New(limit.Options{Ceilings: limit.Ceilings{Server: 4, Organisation: 4, Repository: 4, Caller: 4}, Waiting: 8})
	var releases []func()
	for range 3 {
		releases = append(releases, take(t, l, key("a", "sdk", "bad")))
	}
	bad := queue(t, t.Context(), l, key("a", "sdk", "bad"), key("a", "sdk", "bad"))
	_, err := l.Acquire(t.Context(), key("a", "sdk", "bad"))
	require.ErrorContains(t, err, "of this token's key and subject for this repository")
	good := take(t, l, key("a", "sdk", "good"))
	waits := queue(t, t.Context(), l, key("a", "sdk", "other"))
	releases[0]()
	q := <-waits
	require.NoError(t, q.err, "before those that came first")
	q.release()
	good()
	releases[1]()
	releases[2]()
	(<-bad).release()
	(<-bad).release()
	require.Zero(t, l.Load())
}

func TestLimiter_timeLimit(t *testing.T) {
	t.Parallel()
	c := newClock()
	l := limit.New(limit.Options{Ceilings: limit.Ceilings{Server: 1}, Wait: 30 * time.Second, Clock: c})
	release := take(t, l, key("a", "k", "r"))
	out := queue(t, t.Context(), l, key("b", "k", "r"))
	c.advance(t, 1, 29*time.Second)
	require.Equal(t, limit.Load{Running: 1, Waiting: 1}, l.Load())
	c.advance(t, 1, time.Second)
	q := <-out
	require.Equal(t, core.KindRateLimited, core.KindOf(q.err))
	require.ErrorContains(t, q.err, "none ended within 30s")
	release()
	require.Zero(t, l.Load())
}

func TestLimiter_endedContextTellsWhy(t *testing.T) {
	t.Parallel()
	l := limit.New(limit.Options{Ceilings: limit.Ceilings{Server: 1}})
	take(t, l, key("a", "k", "r"))
	why := errors.New("the reason")
	ctx, cancel := context.WithCancelCause(t.Context())
	out := queue(t, ctx, l, key("a", "k", "r"))
	cancel(why)
	require.ErrorIs(t, (<-out).err, why)
	_, err := l.Acquire(ctx, key("a", "k", "r"))
	require.ErrorIs(t, err, why)
	require.Equal(t, limit.Load{Running: 1}, l.Load())
}

// TestLimiter_keepsNoneAndNeverTooMany throws requests of all sorts at a small
// limiter: no ceiling is ever passed, and in the end nothing is left.
func TestLimiter_keepsNoneAndNeverTooMany(t *testing.T) {
	t.Parallel()
	ceilings := limit.Ceilings{Caller: 2, Repository: 3, Organisation: 4, Server: 6}
	l := limit.New(limit.Options{Ceilings: ceilings, Waiting: 40, Wait: 20 * time.Millisecond})
	var callers, repos, orgs [3][3]atomic.Int32
	var running atomic.Int32
	var granted, refused, left atomic.Int32
	enter := func(n *atomic.Int32, ceiling int) func() {
		if n.Add(1) > int32(ceiling) { //nolint:gosec // a small number
			t.Error("a ceiling was passed")
		}
		return func() { n.Add(-1) }
	}
	var all sync.WaitGroup
	for g := range 60 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 1)) //nolint:gosec // repeatable
			for range 50 {
				o, c, r := random.IntN(3), random.IntN(3), random.IntN(3)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(random.IntN(15))*time.Millisecond)
				release, err := l.Acquire(ctx, key(fmt.Sprint(o), fmt.Sprint(c), fmt.Sprint(o, r)))
				switch {
				case err == nil:
					granted.Add(1)
					outs := []func(){
						enter(&callers[o][c], ceilings.Caller), enter(&repos[o][r], ceilings.Repository),
						enter(&orgs[o][0], ceilings.Organisation), enter(&running, ceilings.Server),
					}
					time.Sleep(time.Duration(random.IntN(300)) * time.Microsecond)
					for _, out := range outs {
						out()
					}
					release()
				case core.KindOf(err) == core.KindRateLimited:
					refused.Add(1)
				case errors.Is(err, context.DeadlineExceeded):
					left.Add(1)
				default:
					t.Error(err)
				}
				cancel()
			}
		})
	}
	all.Wait()
	require.Zero(t, l.Load())
	require.EqualValues(t, 60*50, granted.Load()+refused.Load()+left.Load())
	require.NotZero(t, granted.Load())
	require.NotZero(t, left.Load())
	take(t, l, key("0", "0", "r"))()
}

func TestRequest_oneSlotUntilItsEnd(t *testing.T) {
	t.Parallel()
	l := limit.New(limit.Options{Ceilings: limit.Ceilings{Caller: 1}, Waiting: -1})
	who := limit.Caller{Organisation: "a", Key: "k", Subject: "s"}
	ctx, end := l.Request(t.Context(), who)
	require.Zero(t, l.Load(), "a request that starts no git needs no slot")
	for range 3 {
		require.NoError(t, limit.Take(ctx, "r"))
		require.Equal(t, 1, l.Load().Running)
	}
	other, endOther := l.Request(t.Context(), who)
	require.Equal(t, core.KindRateLimited, core.KindOf(limit.Take(other, "r")))
	limit.Free(ctx)
	require.NoError(t, limit.Take(other, "r"))
	require.Error(t, limit.Take(ctx, "r"))
	endOther()
	require.NoError(t, limit.Take(ctx, "r"))
	end()
	end()
	require.NoError(t, limit.Take(ctx, "r"), "what outlives its request takes nothing that nobody gives back")
	require.Zero(t, l.Load())
	require.NoError(t, limit.Take(t.Context(), "r"), "the server's own work")

	var none *limit.Limiter
	ctx, end = none.Request(t.Context(), who)
	defer end()
	require.NoError(t, limit.Take(ctx, "r"))
}

// TestWork_isOnTopOfSlots holds that heavy work has a ceiling of its own, of
// which a caller gets a half.
func TestWork_isOnTopOfSlots(t *testing.T) {
	t.Parallel()
	l := limit.New(limit.Options{Work: 2, Wait: 20 * time.Millisecond})
	mine, endMine := l.Request(t.Context(), limit.Caller{Organisation: "a", Key: "k"})
	defer endMine()
	require.NoError(t, limit.Take(mine, "r"))
	done, err := limit.Work(mine)
	require.NoError(t, err)
	_, err = limit.Work(mine)
	require.Equal(t, core.KindRateLimited, core.KindOf(err))
	theirs, endTheirs := l.Request(t.Context(), limit.Caller{Organisation: "b", Key: "k"})
	defer endTheirs()
	theirsDone, err := limit.Work(theirs)
	require.NoError(t, err)
	theirsDone()
	done()
	done, err = limit.Work(mine)
	require.NoError(t, err)
	done()
}
