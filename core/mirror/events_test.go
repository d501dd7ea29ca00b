package mirror_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// allEvents returns the events of the repository, in order.
func (b *bench) allEvents(r core.Repository) []core.Event {
	b.Helper()
	all, err := b.Store.EventsOf(context.Background(), core.EventFilter{Org: r.Org, RepoID: r.ID, Limit: 10_000})
	require.NoError(b, err)
	return all
}

// told returns the types of the events but pushes, in order, and forgets none.
func (b *bench) told(r core.Repository) []string {
	b.Helper()
	types := []string{}
	for _, e := range b.allEvents(r) {
		if e.Type != core.EventPush {
			types = append(types, e.Type)
		}
	}
	return types
}

// last returns the body of the last event of a type.
func (b *bench) last(r core.Repository, typ string) map[string]any {
	b.Helper()
	var body map[string]any
	for _, e := range b.allEvents(r) {
		if e.Type == typ {
			body = nil
			require.NoError(b, json.Unmarshal(e.Payload, &body))
		}
	}
	require.NotNil(b, body, typ)
	return body
}

const (
	started   = core.EventSyncStarted
	succeeded = core.EventSyncSucceeded
	failed    = core.EventSyncFailed
	away      = core.EventUpstreamUnavailable
	back      = core.EventUpstreamRecovered
)

func TestService_events_ofRequests(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r := b.Synced("a")
	one := b.ForgeCommit(r, "refs/heads/main", "one")
	_, err := b.schedule.Request(t.Context(), r.ID, schedule.TriggerCreate, "")
	require.NoError(t, err)
	b.rest(r)
	require.Equal(t, []string{started, succeeded}, b.told(r), "a first mirror is one pair")
	now := b.clock.Now().Format(time.RFC3339Nano)
	repository := map[string]any{"id": r.ID, "url": r.Name, "repo_name": r.Name}
	require.Equal(t, map[string]any{
		"type": started, "org": "acme", "repository": repository, "run_count": 0.0, "is_first_sync": true, "started_at": now,
	}, b.last(r, started))
	require.Equal(t, map[string]any{
		"type": succeeded, "org": "acme", "repository": repository, "run_count": 1.0, "is_first_sync": true, "started_at": now, "completed_at": now,
	}, b.last(r, succeeded))

	// A person hears of a run that finds nothing, too.
	require.NoError(t, b.run(r, ""))
	require.Equal(t, []string{started, succeeded, started, succeeded}, b.told(r))
	require.Equal(t, 2.0, b.last(r, succeeded)["run_count"])
	require.Equal(t, false, b.last(r, succeeded)["is_first_sync"])

	// What cannot be retried is told, and owes nothing.
	require.Error(t, b.run(r, "nothing"))
	require.Equal(t, []string{started, failed}, b.told(r)[4:])
	require.Equal(t, `the upstream has no branch or tag "nothing"`, b.last(r, failed)["error"])
	require.Equal(t, 3.0, b.last(r, failed)["run_count"])
	_, err = b.schedule.Request(t.Context(), r.ID, schedule.TriggerPush, "")
	require.NoError(t, err)
	b.rest(r)
	require.Len(t, b.told(r), 6, "an unchanged look that nobody waits for")

	// The default branch is told in the transaction that moves it.
	b.ForgeGit(r, "update-ref", "refs/heads/next", string(one))
	b.ForgeGit(r, "symbolic-ref", "HEAD", "refs/heads/next")
	require.NoError(t, b.run(r, ""))
	require.Equal(t, []string{started, core.EventDefaultBranchChanged, succeeded}, b.told(r)[6:])
	require.Equal(t, map[string]any{
		"type": core.EventDefaultBranchChanged, "org": "acme", "repository": repository, "old": "main", "new": "next",
	}, b.last(r, core.EventDefaultBranchChanged))
}

func TestService_events_ofFailures(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	had := len(b.told(r))
	told := func() []string { return b.told(r)[had:] }
	list := []forgetest.Kind{forgetest.KindListRefs, forgetest.KindDiscover}
	remove := b.Forge.Inject(forgetest.Fault{Kinds: list, Status: 503, Body: "down"})
	ask := func(trigger string) {
		t.Helper()
		_, err := b.schedule.Request(t.Context(), r.ID, trigger, "")
		require.NoError(t, err)
		b.rest(r)
	}
	// Nobody asked: the first two are quiet.
	ask(schedule.TriggerWebhook)
	b.pass(r, 6*time.Second, time.Second)
	require.Equal(t, 2, b.state(r).Failures)
	require.Empty(t, told())
	b.pass(r, 11*time.Second, time.Second)
	require.Equal(t, 3, b.state(r).Failures)
	require.Equal(t, []string{failed, away}, told())
	require.Equal(t, "down", b.last(r, failed)["error"])
	gone := b.last(r, away)
	require.Equal(t, "unavailable", gone["class"])
	require.Equal(t, "", gone["state"])
	require.Equal(t, "down", gone["message"])
	b.pass(r, 2*time.Hour, time.Minute)
	require.Len(t, told(), 2, "once")
	// The same outage with another face.
	remove()
	remove = b.Forge.Inject(forgetest.Fault{Kinds: list, Drop: true})
	b.pass(r, 2*time.Hour, time.Minute)
	require.Equal(t, core.ClassNetwork, b.state(r).LastClass)
	require.Len(t, told(), 2)
	// A person asks, and hears of it.
	ask(schedule.TriggerAPI)
	require.Equal(t, []string{started, failed}, told()[2:])
	// Another reason is news.
	remove()
	remove = b.Forge.Inject(forgetest.Fault{Kinds: list, Status: 401})
	b.pass(r, 30*time.Minute, time.Minute)
	require.Equal(t, []string{failed, away}, told()[4:])
	require.Equal(t, "revoked", b.last(r, away)["state"])
	b.pass(r, 48*time.Hour, time.Hour)
	require.Len(t, told(), 6)
	// Back: one end, one recovery; and no start, since none was told before.
	remove()
	b.pass(r, 8*time.Hour, time.Hour)
	require.Equal(t, []string{succeeded, back}, told()[6:])
	require.Equal(t, "revoked", b.last(r, back)["state"])
	require.Zero(t, b.state(r).UpstreamState)
	require.Equal(t, one, b.Refs(r)["refs/heads/main"])
	ask(schedule.TriggerWebhook)
	require.Len(t, told(), 8)
	require.Equal(t, float64(b.state(r).Runs), b.last(r, succeeded)["run_count"])
}

func TestService_events_startIsNotRepeatedByRetriesAndRestarts(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	had := len(b.told(r))
	b.ForgeCommit(r, "refs/heads/main", "two", one)
	remove := b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindFetch}, Status: 500})
	_, err := b.schedule.Request(t.Context(), r.ID, schedule.TriggerWebhook, "")
	require.NoError(t, err)
	b.rest(r)
	require.Equal(t, []string{started}, b.told(r)[had:])
	b.halt()
	b.Open()
	b.start()
	b.pass(r, 6*time.Second, time.Second)
	require.Equal(t, 2, b.state(r).Failures)
	require.Equal(t, []string{started}, b.told(r)[had:])
	remove()
	b.pass(r, 12*time.Second, time.Second)
	b.equal(r)
	require.Equal(t, []string{started, succeeded}, b.told(r)[had:])
}
