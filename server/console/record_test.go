package console_test

import (
	"context"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/server/console"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// recorded is a store of which the recorder reads and writes minutes alone.
type recorded struct {
	core.ConsoleStore
	health  []core.RepositoryHealth
	minutes map[string]core.ConsoleMinute
	lags    []core.ConsoleLag
	before  time.Time
	broken  error
}

func (r *recorded) Health(_ context.Context, _ string, f func(core.RepositoryHealth) error) error {
	for _, h := range r.health {
		if err := f(h); err != nil {
			return err
		}
	}
	return r.broken
}

func (r *recorded) AddConsoleMinutes(_ context.Context, minutes []core.ConsoleMinute, lags []core.ConsoleLag) error {
	r.minutes, r.lags = map[string]core.ConsoleMinute{}, lags
	for _, m := range minutes {
		r.minutes[m.Org] = m
	}
	return nil
}

func (r *recorded) DeleteConsoleRows(_ context.Context, before, _ time.Time) error {
	r.before = before
	return nil
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	now := clock.Now()
	mirror := func(org, name string, lag time.Duration, change func(h *core.RepositoryHealth)) core.RepositoryHealth {
		h := core.RepositoryHealth{MirrorHealth: core.MirrorHealth{RepoID: org + "/" + name, Org: org, Name: name, Ready: true}, Synced: true, Requested: true}
		if lag > 0 {
			h.ObservedAt = now.Add(-lag)
		}
		change(&h)
		return h
	}
	as := func(*core.RepositoryHealth) {}
	store := &recorded{health: []core.RepositoryHealth{
		mirror("acme", "a", time.Second, as), mirror("acme", "b", 3*time.Second, as), mirror("acme", "c", time.Hour, func(h *core.RepositoryHealth) { h.LastError = "no" }),
		mirror("acme", "paused", 1000*time.Hour, func(h *core.RepositoryHealth) { h.Paused = true }),
		mirror("acme", "never", 0, func(h *core.RepositoryHealth) { h.Ready = false }),
		mirror("acme", "held", time.Minute, func(h *core.RepositoryHealth) { h.Braked = true }),
		mirror("other", "x", 2*time.Second, func(h *core.RepositoryHealth) { h.Running = true }),
		{MirrorHealth: core.MirrorHealth{RepoID: "acme/local", Org: "acme"}},
	}}
	r := console.NewRecorder(console.RecorderOptions{Store: store, Clock: clock, Logger: hclog.NewNullLogger()})
	r.Pushed(push.Finished{Org: "acme", Ending: push.EndedWell, Took: time.Second})
	r.Pushed(push.Finished{Org: "acme", Ending: push.EndedRefused, Took: 3 * time.Second})
	for _, outcome := range []string{"succeeded", "unchanged", "held", "failed", "interrupted"} {
		r.Synced(core.Repository{Org: "other"}, core.Run{Outcome: outcome})
	}
	require.NoError(t, r.Record(t.Context()))
	at := now.Truncate(time.Minute)
	acme := core.ConsoleMinute{
		Org: "acme", At: at, Fresh: 2, Failing: 1, Held: 1, Waiting: 2, LagMedian: 3 * time.Second, LagMost: time.Minute, LagMax: time.Hour,
		PushesOK: 1, PushesFailed: 1, PushTime: 4 * time.Second, PushSlowest: 3 * time.Second,
	}
	other := core.ConsoleMinute{
		Org: "other", At: at, Syncing: 1, LagMedian: 2 * time.Second, LagMost: 2 * time.Second, LagMax: 2 * time.Second, Succeeded: 1, Unchanged: 1, SyncsHeld: 1, SyncsFailed: 2,
	}
	all := core.ConsoleMinute{
		At: at, Fresh: 2, Syncing: 1, Failing: 1, Held: 1, Waiting: 2, LagMedian: 3 * time.Second, LagMost: time.Minute, LagMax: time.Hour,
		PushesOK: 1, PushesFailed: 1, PushTime: 4 * time.Second, PushSlowest: 3 * time.Second, Succeeded: 1, Unchanged: 1, SyncsHeld: 1, SyncsFailed: 2,
	}
	require.Equal(t, map[string]core.ConsoleMinute{"acme": acme, "other": other, "": all}, store.minutes)
	require.Len(t, store.lags, 5, "of those that were ever confirmed and are followed")
	require.Equal(t, now.Add(-7*24*time.Hour), store.before)

	// What was counted is counted once; a lag that hardly grew is not written again.
	clock.Advance(time.Second)
	require.NoError(t, r.Record(t.Context()))
	require.Zero(t, store.minutes["acme"].PushesOK)
	require.Zero(t, store.minutes[""].Succeeded)
	for _, l := range store.lags {
		require.NotContains(t, []string{"acme/c", "acme/held"}, l.RepoID)
	}

	store.broken = core.Errorf(core.KindInternal, "the disk is gone")
	require.Error(t, r.Record(t.Context()))
}
