package mirror_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/providers/forgetest"
)

const (
	started   = core.EventSyncStarted
	succeeded = core.EventSyncSucceeded
	failed    = core.EventSyncFailed
	away      = core.EventUpstreamUnavailable
	back      = core.EventUpstreamRecovered
)

func TestService_events_ofRequests(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r := b.Synced("a")
	one := b.ForgeCommit(r, "refs/heads/main", "one")
	gen, err := b.Schedule.Request(t.Context(), r.ID, schedule.TriggerCreate, "")
	require.NoError(t, err)
	require.NoError(t, b.Wait(r, gen)) // and not rest, which moves the clock on a slow machine
	require.Equal(t, []string{started, succeeded}, b.EventTypes(r), "a first mirror is one pair")
	now := b.Clock.Now().Format(time.RFC3339Nano)
	repository := map[string]any{"id": r.ID, "url": r.Name, "repo_name": r.Name}
	require.Equal(t, map[string]any{
		"type": started, "org": "acme", "repository": repository, "run_count": 0.0, "is_first_sync": true, "started_at": now,
	}, b.LastEvent(r, started))
	require.Equal(t, map[string]any{
		"type": succeeded, "org": "acme", "repository": repository, "run_count": 1.0, "is_first_sync": true, "started_at": now, "completed_at": now,
	}, b.LastEvent(r, succeeded))

	// A user is notified of a run that finds nothing, too.
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, []string{started, succeeded, started, succeeded}, b.EventTypes(r))
	require.Equal(t, 2.0, b.LastEvent(r, succeeded)["run_count"])
	require.Equal(t, false, b.LastEvent(r, succeeded)["is_first_sync"])

	// What cannot be retried has its event, and no other follows.
	require.Error(t, b.Sync(r, "nothing"))
	require.Equal(t, []string{started, failed}, b.EventTypes(r)[4:])
	require.Equal(t, `the upstream has no branch or tag "nothing"`, b.LastEvent(r, failed)["error"])
	require.Equal(t, 3.0, b.LastEvent(r, failed)["run_count"])
	_, err = b.Schedule.Request(t.Context(), r.ID, schedule.TriggerPush, "")
	require.NoError(t, err)
	b.WaitIdle(r)
	require.Len(t, b.EventTypes(r), 6, "an unchanged look that nobody waits for")

	// The event of the default branch is part of the transaction that moves it.
	b.ForgeGit(r, "update-ref", "refs/heads/next", string(one))
	b.ForgeGit(r, "symbolic-ref", "HEAD", "refs/heads/next")
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, []string{started, core.EventDefaultBranchChanged, succeeded}, b.EventTypes(r)[6:])
	require.Equal(t, map[string]any{
		"type": core.EventDefaultBranchChanged, "org": "acme", "repository": repository, "old": "main", "new": "next",
	}, b.LastEvent(r, core.EventDefaultBranchChanged))
}

func TestService_events_ofFailures(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	had := len(b.EventTypes(r))
	since := func() []string { return b.EventTypes(r)[had:] }
	list := []forgetest.Kind{forgetest.KindListRefs, forgetest.KindDiscover}
	remove := b.Forge.Inject(forgetest.Fault{Kinds: list, Status: 503, Body: "down"})
	ask := func(trigger string) {
		t.Helper()
		_, err := b.Schedule.Request(t.Context(), r.ID, trigger, "")
		require.NoError(t, err)
		b.WaitIdle(r)
	}
	// Nobody asked: the first two are quiet.
	ask(schedule.TriggerWebhook)
	b.Pass(r, 6*time.Second, time.Second)
	require.Equal(t, 2, b.State(r).Failures)
	require.Empty(t, since())
	b.Pass(r, 11*time.Second, time.Second)
	require.Equal(t, 3, b.State(r).Failures)
	require.Equal(t, []string{failed, away}, since())
	require.Equal(t, "upstream: down", b.LastEvent(r, failed)["error"])
	gone := b.LastEvent(r, away)
	require.Equal(t, "unavailable", gone["class"])
	require.Equal(t, "", gone["state"])
	require.Equal(t, "down", gone["message"])
	b.Pass(r, 2*time.Hour, time.Minute)
	require.Len(t, since(), 2, "once")
	// The same outage with another face.
	remove()
	remove = b.Forge.Inject(forgetest.Fault{Kinds: list, Drop: true})
	b.Pass(r, 2*time.Hour, time.Minute)
	require.Equal(t, core.ClassNetwork, b.State(r).LastClass)
	require.Len(t, since(), 2)
	// A user requests a run, and is notified.
	ask(schedule.TriggerAPI)
	require.Equal(t, []string{started, failed}, since()[2:])
	// Another reason is news.
	remove()
	remove = b.Forge.Inject(forgetest.Fault{Kinds: list, Status: 401})
	b.Pass(r, 30*time.Minute, time.Minute)
	require.Equal(t, []string{failed, away}, since()[4:])
	require.Equal(t, "revoked", b.LastEvent(r, away)["state"])
	b.Pass(r, 48*time.Hour, time.Hour)
	require.Len(t, since(), 6)
	// Back: one end, one recovery; and no start, since there was none before.
	remove()
	b.Pass(r, 8*time.Hour, time.Hour)
	require.Equal(t, []string{succeeded, back}, since()[6:])
	require.Equal(t, "revoked", b.LastEvent(r, back)["state"])
	require.Zero(t, b.State(r).UpstreamState)
	require.Equal(t, one, b.Refs(r)["refs/heads/main"])
	ask(schedule.TriggerWebhook)
	require.Len(t, since(), 8)
	require.Equal(t, float64(b.State(r).Runs), b.LastEvent(r, succeeded)["run_count"])
}

func TestService_events_startIsNotRepeatedByRetriesAndRestarts(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	had := len(b.EventTypes(r))
	b.ForgeCommit(r, "refs/heads/main", "two", one)
	remove := b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindFetch}, Status: 500})
	_, err := b.Schedule.Request(t.Context(), r.ID, schedule.TriggerWebhook, "")
	require.NoError(t, err)
	b.WaitIdle(r)
	require.Equal(t, []string{started}, b.EventTypes(r)[had:])
	b.Halt()
	b.Open()
	b.Start()
	b.Pass(r, 6*time.Second, time.Second)
	require.Equal(t, 2, b.State(r).Failures)
	require.Equal(t, []string{started}, b.EventTypes(r)[had:])
	remove()
	b.Pass(r, 12*time.Second, time.Second)
	b.RequireEqual(r)
	require.Equal(t, []string{started, succeeded}, b.EventTypes(r)[had:])
}
