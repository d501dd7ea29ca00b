package mirror_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
	"github.com/headwater-git/headwater/providers/forgetest"
)

func TestInvariant07_allWebhooksLost(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		poll  string
		quiet time.Duration // how long the upstream has rested
		bound time.Duration
	}{
		"auto, busy":  {"auto", time.Minute, 17 * time.Second},
		"auto, quiet": {"auto", 10 * time.Hour, 70 * time.Minute},
		"auto, old":   {"auto", 1000 * time.Hour, 9 * time.Hour},
		"fixed":       {"30s", 100 * time.Hour, 33 * time.Second},
		"too short":   {"1ms", time.Hour, 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := mirrortest.New(t, coretest.Options{})
			r, one := b.Polled("a", tc.poll)
			s := b.State(r)
			s.ChangedAt, s.FirstSyncedAt = b.Clock.Now().Add(-tc.quiet), b.Clock.Now().Add(-tc.quiet)
			require.NoError(t, b.Store.FinishSync(t.Context(), s))
			b.Configure(r, core.Settings{Poll: tc.poll}) // reckons anew, and looks
			runs, events := len(b.Runs(r)), len(b.AllEvents(r))
			// Ten tags in one push: a host that tells of it at all tells of none of them.
			two := b.ForgeCommit(r, "refs/heads/main", "two", one)
			for i := range 10 {
				b.ForgeGit(r, "update-ref", fmt.Sprint("refs/tags/v", i), string(two))
			}
			b.Pass(r, tc.bound, tc.bound)
			b.RequireEqual(r)
			require.Equal(t, "poll", b.Runs(r)[0].Trigger)
			require.Len(t, b.Runs(r), runs+1)
			require.Equal(t, b.Clock.Now(), b.State(r).ChangedAt)
			require.Len(t, b.AllEvents(r), events+2+11, "started, eleven refs, succeeded")
		})
	}
}

func TestService_poll_lookThatFindsNoChange(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, _ := b.Polled("a", "1m")
	b.Forge.ForgetRequests()
	before, runs, events := b.State(r), len(b.Runs(r)), len(b.AllEvents(r))
	b.Pass(r, time.Hour, 5*time.Second)
	looks := b.Forge.Count(forgetest.KindListRefs)
	require.InDelta(t, 58, looks, 8)
	require.Zero(t, b.Forge.Count(forgetest.KindFetch))
	require.Len(t, b.Runs(r), runs)
	require.Len(t, b.AllEvents(r), events)
	after := b.State(r)
	require.Equal(t, before.Runs, after.Runs)
	require.Equal(t, before.Wanted, after.Wanted)
	require.WithinDuration(t, b.Clock.Now(), after.ObservedAt, 2*time.Minute)
	require.Equal(t, before.ChangedAt, after.ChangedAt)
}

func TestService_poll_switches(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, _ := b.Mirrored("a")
	require.Zero(t, b.State(r).PollAt, "the provider says off")
	b.Plugin.SetPoll("auto")
	require.NoError(t, b.Schedule.SettingsChanged(t.Context(), r.ID))
	b.WaitIdle(r)
	require.NotZero(t, b.State(r).PollAt)
	b.Configure(r, core.Settings{Poll: "off"})
	require.Zero(t, b.State(r).PollAt)
	b.Configure(r, core.Settings{Poll: "nonsense"})
	require.NotZero(t, b.State(r).PollAt)

	never := b.Synced("never")
	require.NoError(t, b.Schedule.SettingsChanged(t.Context(), never.ID))
	require.Zero(t, b.State(never).PollAt, "what has no first mirror is not polled")
	local := b.Local("local")
	require.NoError(t, b.Schedule.SettingsChanged(t.Context(), local.ID))
}

func TestService_poll_startWithAnotherDefault(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	var all []core.Repository
	for i := range 5 {
		r, _ := b.Mirrored(fmt.Sprint("r", i))
		all = append(all, r)
	}
	b.Clock.Advance(1000 * time.Hour)
	b.Halt()
	b.Plugin.SetPoll("auto")
	b.Start()
	at := map[time.Time]bool{}
	for _, r := range all {
		require.Eventually(t, func() bool { return !b.State(r).PollAt.IsZero() }, time.Minute, time.Millisecond)
		s := b.State(r)
		require.False(t, s.PollAt.Before(b.Clock.Now()))
		require.False(t, s.PollAt.After(b.Clock.Now().Add(8*time.Hour)))
		at[s.PollAt] = true
	}
	require.Len(t, at, len(all), "no burst")
}

func TestService_poll_failureIsARunWithBackoff(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Polled("a", "1m")
	remove := b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindListRefs, forgetest.KindDiscover}, Status: 503})
	b.Forge.ForgetRequests()
	b.Pass(r, 70*time.Second, 70*time.Second)
	s := b.State(r)
	require.Equal(t, 1, s.Failures)
	require.Equal(t, core.ClassUnavailable, s.LastClass)
	require.Equal(t, "failed", b.Runs(r)[0].Outcome)
	require.LessOrEqual(t, b.Forge.Count(), 2, "one contact, which is the run's")
	b.Pass(r, 3*time.Hour, time.Minute)
	require.Less(t, b.Forge.Count(), 60, "polls wait for the back-off, too")
	two := b.ForgeCommit(r, "refs/heads/main", "two", one)
	remove()
	b.Pass(r, 12*time.Minute, time.Minute)
	require.Equal(t, two, b.Refs(r)["refs/heads/main"])
	require.Zero(t, b.State(r).Failures)
}

func TestService_poll_notesWebhooksThatDoNotCome(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Polled("a", "1m")
	require.NoError(t, b.Store.SaveInboundWebhook(t.Context(), core.InboundWebhook{
		RepoID: r.ID, Token: "t", State: core.InboundActive, CreatedAt: b.Clock.Now(), NextCheck: b.Clock.Now().Add(24 * time.Hour),
	}))
	two := b.ForgeCommit(r, "refs/heads/main", "two", one)
	b.Pass(r, 70*time.Second, 70*time.Second)
	b.RequireEqual(r)
	w, err := b.Store.InboundWebhook(t.Context(), r.ID)
	require.NoError(t, err)
	require.WithinDuration(t, b.Clock.Now(), w.LastMissedAt, 20*time.Second, "rest may have moved the clock")
	require.Equal(t, w.LastMissedAt, w.NextCheck, "whether it is at the host is seen at once")
	require.EqualValues(t, 1, b.Missed.Load())

	// One that came with something else is an announcement, too.
	missed := w.LastMissedAt
	require.NoError(t, b.Store.NoteInbound(t.Context(), r.ID, b.Clock.Now(), time.Time{}))
	b.ForgeCommit(r, "refs/heads/main", "three", two)
	b.Pass(r, 70*time.Second, 70*time.Second)
	b.RequireEqual(r)
	w, err = b.Store.InboundWebhook(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, missed, w.LastMissedAt)
}

func TestService_Fresh_recordsTheConfirmation(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	at := b.State(r).ObservedAt
	require.Equal(t, b.Clock.Now(), at)
	b.Clock.Advance(time.Hour)
	require.NoError(t, b.Mirror.Fresh(t.Context(), r))
	require.Equal(t, b.Clock.Now(), b.State(r).ObservedAt)
	require.Equal(t, at, b.State(r).ChangedAt)
	b.Clock.Advance(time.Hour)
	b.ForgeCommit(r, "refs/heads/main", "two", one)
	require.NoError(t, b.Mirror.Fresh(t.Context(), r))
	b.RequireEqual(r)
	s := b.State(r)
	require.Equal(t, b.Clock.Now(), s.ObservedAt)
	require.Equal(t, b.Clock.Now(), s.ChangedAt)
	names := []string{}
	for _, p := range b.Runs(r)[0].Phases {
		names = append(names, p.Name)
	}
	require.Equal(t, []string{"list", "fetch", "apply"}, names)
}
