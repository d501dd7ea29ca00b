package schedule_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/schedule"
)

// The clock stands still, so no timer can repair a lost wake-up: a request that is
// not served without one hangs here. Requests, notifications, looks, halts, pauses
// of admission by full hosts, and ends of work happen all at once.
func TestService_noWakeUpIsLost(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]schedule.Options{
		"one place":     {Runs: 1, HostRuns: 1, Looks: 1},
		"few places":    {Runs: 3, HostRuns: 2, Looks: 2},
		"as configured": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, o)
			b.limits["narrow"] = 1 // one place for runs and looks together
			ids := append(b.repos("narrow", 3), b.repos("wide", 4)...)
			b.work = func(context.Context, schedule.Item, func() bool) {
				if rand.N(3) == 0 {
					time.Sleep(rand.N(time.Millisecond))
				}
			}
			b.start()
			var askers sync.WaitGroup
			for i := range 8 {
				askers.Go(func() {
					for n := range 25 {
						id := ids[(i+n)%len(ids)]
						switch rand.N(6) {
						case 0:
							if err := b.Store.SetPoll(t.Context(), id, b.clock.Now()); err != nil {
								t.Error(err)
							}
							b.s.Notify(schedule.Look, b.clock.Now())
						case 1:
							resume, err := b.s.Halt(t.Context(), id)
							if err != nil {
								t.Error(err)
								continue
							}
							resume()
						}
						gen, err := b.s.Request(t.Context(), id, schedule.TriggerPush, "")
						if err != nil {
							t.Error(err)
							continue
						}
						ctx, cancel := context.WithTimeoutCause(t.Context(), patience, errors.New("the wake-up was lost"))
						err = b.s.Wait(ctx, id, gen)
						cancel()
						if err != nil && !errors.Is(err, context.Canceled) { // a halt ends runs
							t.Error(err)
						}
					}
				})
			}
			askers.Wait()
			b.eventually("all requests are served", func() bool {
				due, err := b.Store.DueSyncs(t.Context(), b.clock.Now(), 100)
				require.NoError(t, err)
				return len(due) == 0
			})
			// A look that met a run waits for a second, and for nothing else.
			b.eventually("all looks are made", func() bool {
				b.clock.Advance(time.Second)
				due, err := b.Store.DuePolls(t.Context(), b.clock.Now(), 100)
				require.NoError(t, err)
				return len(due) == 0
			})
			require.LessOrEqual(t, b.most["narrow"], 1)
		})
	}
}

// One host whose items do not end takes its own places and no others.
func TestService_fullHostDelaysNoOther(t *testing.T) {
	t.Parallel()
	b := newBench(t, schedule.Options{})
	release := make(chan struct{})
	defer close(release)
	b.work = func(ctx context.Context, item schedule.Item, _ func() bool) {
		if item.Host == "slow" {
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
	}
	slow, fast := b.repos("slow", 20), b.repos("fast", 5)
	for _, id := range slow {
		b.request(id, schedule.TriggerAPI)
	}
	b.start()
	b.eventually("the slow host is full", func() bool { return b.count(schedule.Run) == 3 })
	for range 3 {
		for _, id := range fast {
			b.wait(id, b.request(id, schedule.TriggerPush))
		}
	}
	require.Equal(t, 3, b.most["slow"])
	require.Equal(t, 3+15, b.count(schedule.Run))
}

// Where all places are taken by turns, hosts share them: the one with a hundred
// waiting runs does not keep the one with a single run waiting for all of them.
func TestService_hostsShareThePlaces(t *testing.T) {
	t.Parallel()
	b := newBench(t, schedule.Options{Runs: 1})
	many, one := b.repos("many", 50), b.repos("one", 1)
	for _, id := range many {
		b.request(id, schedule.TriggerPush)
	}
	gen := b.request(one[0], schedule.TriggerPush)
	turn := make(chan struct{})
	b.work = func(context.Context, schedule.Item, func() bool) { <-turn }
	b.start()
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.wait(one[0], gen)
	}()
	turns := 0
	for ended := false; !ended; {
		select {
		case turn <- struct{}{}:
			turns++
		case <-done:
			ended = true
		}
	}
	close(turn)
	require.Less(t, turns, 40, "a fair draw takes two turns on average")
}

func TestService_Request_folds(t *testing.T) {
	t.Parallel()
	b := newBench(t, schedule.Options{})
	id := b.repos("h", 1)[0]
	entered, release := make(chan struct{}, 10), make(chan struct{})
	b.work = func(context.Context, schedule.Item, func() bool) {
		entered <- struct{}{}
		<-release
	}
	b.start()
	first := b.request(id, schedule.TriggerPush)
	<-entered
	var last int64
	for range 100 {
		last = b.request(id, schedule.TriggerPush)
	}
	close(release)
	b.wait(id, first)
	b.wait(id, last)
	require.Equal(t, 2, b.count(schedule.Run), "one that was running and one for all the rest")
}

func TestService_pausedHost(t *testing.T) {
	t.Parallel()
	b := newBench(t, schedule.Options{})
	ids := b.repos("h", 4)
	b.s.RecordContact("h", ids[0], core.ClassRateLimited, time.Hour)
	pausedUntil := b.clock.Now().Add(time.Hour)
	require.Equal(t, pausedUntil, b.s.PausedUntil("h"))
	require.Equal(t, pausedUntil, b.s.RateLimitedUntil("h"))
	require.NoError(t, b.Store.SetPoll(t.Context(), ids[3], b.clock.Now()))
	b.request(ids[0], schedule.TriggerWebhook)
	b.start()
	b.eventually("what nobody waits for is postponed", func() bool {
		return b.state(ids[0]).NextAttemptAt.After(pausedUntil) && b.state(ids[3]).PollAt.After(pausedUntil)
	})
	require.Empty(t, b.count(schedule.Run)+b.count(schedule.Look))
	// Users pass, one at a time.
	entered, release := make(chan string, 2), make(chan struct{})
	b.mu.Lock()
	b.work = func(_ context.Context, item schedule.Item, _ func() bool) {
		entered <- item.RepoID
		<-release
	}
	b.mu.Unlock()
	one, two := b.request(ids[1], schedule.TriggerAPI), b.request(ids[2], schedule.TriggerCreate)
	<-entered
	release <- struct{}{}
	<-entered
	release <- struct{}{}
	b.wait(ids[1], one)
	b.wait(ids[2], two)
	b.mu.Lock()
	require.Equal(t, 1, b.most["h"])
	b.mu.Unlock()
	// After the pause all of it comes back.
	close(release)
	b.clock.Advance(time.Hour + time.Minute)
	b.eventually("nothing is due any more", func() bool {
		s := b.state(ids[0])
		return s.Served == s.Wanted && b.state(ids[3]).PollAt.IsZero()
	})
}

func TestService_RecordContact_hostIsDownAfterThreeRepositories(t *testing.T) {
	t.Parallel()
	b := newBench(t, schedule.Options{})
	fail := func(id string) { b.s.RecordContact("h", id, core.ClassNetwork, 0) }
	for range 10 {
		fail("one") // one repository alone says nothing of its host
	}
	fail("two")
	require.Zero(t, b.s.PausedUntil("h"))
	fail("three")
	require.Equal(t, b.clock.Now().Add(5*time.Second), b.s.PausedUntil("h"))
	require.Zero(t, b.s.RateLimitedUntil("h"), "it asked for nothing")
	b.clock.Advance(5 * time.Second)
	fail("one")
	require.Equal(t, b.clock.Now().Add(10*time.Second), b.s.PausedUntil("h"), "twice as long")
	b.clock.Advance(10 * time.Second)
	b.s.RecordContact("h", "one", core.ClassInternal, 0) // says nothing of the host
	fail("one")
	require.NotZero(t, b.s.PausedUntil("h"))
	b.clock.Advance(time.Hour)
	b.s.RecordContact("h", "one", "", 0)
	fail("one")
	require.Zero(t, b.s.PausedUntil("h"), "a success starts the count anew")
}

func TestService_Halt_nothingStartsBeforeTheResumption(t *testing.T) {
	t.Parallel()
	b := newBench(t, schedule.Options{})
	id := b.repos("old", 1)[0]
	entered := make(chan schedule.Item, 10)
	b.work = func(ctx context.Context, item schedule.Item, _ func() bool) {
		entered <- item
		if item.Host == "old" {
			<-ctx.Done()
		}
	}
	b.start()
	b.request(id, schedule.TriggerPush)
	<-entered
	resume, err := b.s.Halt(t.Context(), id)
	require.NoError(t, err)
	require.False(t, b.s.Running(id))
	gen := b.request(id, schedule.TriggerPush)
	require.NoError(t, b.Store.SetPoll(t.Context(), id, b.clock.Now()))
	b.s.NotifyAll()
	require.NoError(t, b.Store.MoveUpstream(t.Context(), id, core.Upstream{Provider: "p", Instance: "i", Host: "new", Owner: "o", Name: "n"}))
	other := b.repos("other", 1)[0]
	b.wait(other, b.request(other, schedule.TriggerPush)) // the scheduler has seen all of that
	<-entered
	require.Empty(t, entered)
	resume()
	resume() // does nothing
	b.wait(id, gen)
	require.Equal(t, "new", (<-entered).Host)
}

func TestService_Cancel(t *testing.T) {
	t.Parallel()
	b := newBench(t, schedule.Options{})
	id := b.repos("h", 1)[0]
	require.NoError(t, b.s.Cancel(t.Context(), id), "nothing runs")
	entered, release := make(chan struct{}, 1), make(chan struct{})
	b.work = func(ctx context.Context, _ schedule.Item, _ func() bool) {
		entered <- struct{}{}
		<-ctx.Done()
		<-release
	}
	b.start()
	b.request(id, schedule.TriggerPush)
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.s.Cancel(ctx, id), context.Canceled, "it has not ended")
	require.True(t, b.s.Running(id))
	b.mu.Lock()
	b.work = nil
	b.mu.Unlock()
	close(release)
	require.NoError(t, b.s.Cancel(t.Context(), id))
	b.eventually("what was not served is tried again", func() bool { s := b.state(id); return s.Served == s.Wanted })
}

// A look becomes a run only where there is a place for a run.
func TestService_promotion(t *testing.T) {
	t.Parallel()
	b := newBench(t, schedule.Options{Runs: 1})
	ids := b.repos("h", 3)
	promoted := make(chan bool, 2)
	release := make(chan struct{})
	b.work = func(_ context.Context, item schedule.Item, promote func() bool) {
		if item.Kind == schedule.Look {
			promoted <- promote()
		}
		<-release
	}
	for _, id := range ids[:2] {
		require.NoError(t, b.Store.SetPoll(t.Context(), id, b.clock.Now()))
	}
	b.start()
	require.NotEqual(t, <-promoted, <-promoted, "there is one place")
	gen := b.request(ids[2], schedule.TriggerPush)
	close(release)
	b.wait(ids[2], gen)
}

// recorder is a worker whose looks are recorded later.
type recorder struct {
	*bench
	looks chan string
}

func (r recorder) Look(_ context.Context, item schedule.Item, _ func() bool) schedule.Result {
	r.looks <- item.RepoID
	return schedule.Result{Unrecorded: true}
}

func TestService_Recorded_isAwaitedBeforeTheNextLook(t *testing.T) {
	t.Parallel()
	b := newBench(t, schedule.Options{})
	ids := b.repos("h", 2)
	for _, id := range ids {
		require.NoError(t, b.Store.SetPoll(t.Context(), id, b.clock.Now()))
	}
	w := recorder{b, make(chan string, 10)}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = b.s.Run(ctx, w)
	}()
	require.ElementsMatch(t, ids, []string{<-w.looks, <-w.looks})
	// Their rows are due still.
	b.clock.Advance(time.Minute)
	b.s.Notify(schedule.Look, b.clock.Now())
	b.wait(ids[0], b.request(ids[0], schedule.TriggerPush)) // a run need not wait for it
	require.Empty(t, w.looks)
	require.NoError(t, b.Store.SetPoll(t.Context(), ids[0], b.clock.Now().Add(time.Minute)))
	b.s.Recorded(ids, b.clock.Now())
	require.Equal(t, ids[1], <-w.looks)
	require.Empty(t, w.looks)
	cancel()
	<-stopped
}
