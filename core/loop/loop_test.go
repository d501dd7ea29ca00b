package loop_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/loop"
)

func TestSignal_manyAreOne(t *testing.T) {
	t.Parallel()
	clock := coretest.NewClock()
	s := loop.NewSignal()
	s.Set()
	s.Set()
	require.True(t, loop.SleepUntil(t.Context(), clock, time.Time{}, s))
	require.Empty(t, s)
}

func TestSleep(t *testing.T) {
	t.Parallel()
	clock := coretest.NewClock()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, loop.Sleep(ended, clock, time.Hour, nil))
	require.False(t, loop.SleepUntil(ended, clock, clock.Now(), nil))
	require.True(t, loop.SleepUntil(t.Context(), clock, clock.Now(), nil), "the time came already")
	done := make(chan bool)
	go func() { done <- loop.Sleep(t.Context(), clock, time.Hour, nil) }()
	for n, more := clock.Timers(); n == 0; n, more = clock.Timers() {
		<-more
	}
	clock.Advance(time.Hour)
	require.True(t, <-done)
}

func TestEvery_endsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	loop.Every(ctx, coretest.NewClock(), time.Hour, func(context.Context) {
		calls++
		cancel()
	})
	require.Equal(t, 1, calls)
}

func TestSpreading_bounds(t *testing.T) {
	t.Parallel()
	for range 1000 {
		later, around := loop.Later(time.Minute), loop.Around(time.Minute)
		require.True(t, later >= time.Minute && later <= 66*time.Second, later)
		require.True(t, around >= 54*time.Second && around <= 66*time.Second, around)
	}
	require.Zero(t, loop.Later(0))
}

func TestDoubling(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]time.Duration{0: 1, 1: 1, 2: 2, 3: 4, 4: 5, 100: 5, 1 << 30: 5} {
		require.Equal(t, want*time.Second, loop.Doubling(time.Second, 5*time.Second, n), n)
	}
}

func TestPauses(t *testing.T) {
	t.Parallel()
	clock := coretest.NewClock()
	p := loop.NewPauses(clock)
	require.Zero(t, p.Until("a"))
	p.Set("a", time.Minute)
	require.Equal(t, clock.Now().Add(time.Minute), p.Until("a"))
	require.Zero(t, p.Until("b"))
	clock.Advance(time.Minute)
	require.Zero(t, p.Until("a"))
}
