package mirror_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// rests reports whether nothing is due for the repository now.
func (b *bench) rests(r core.Repository) bool {
	b.Helper()
	s, now := b.state(r), b.clock.Now()
	if s.Served < s.Wanted {
		return s.NextAttemptAt.After(now)
	}
	return s.PollAt.IsZero() || s.PollAt.After(now)
}

// rest waits until nothing is due for the repository at the time of the clock. What
// met something that was under way is looked at again after a second or more, which
// the clock has to pass.
func (b *bench) rest(r core.Repository) {
	b.Helper()
	const patience = 3 * time.Second
	deadline, late := time.Now().Add(2*time.Minute), time.Now().Add(patience)
	for !b.rests(r) {
		switch now := time.Now(); {
		case now.After(deadline):
			require.Fail(b, "the repository does not come to rest", "at %v: %+v", b.clock.Now(), b.state(r))
		case now.After(late):
			b.clock.Advance(time.Second)
			late = now.Add(patience / 3)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// pass lets time pass in steps, and all that is due in each.
func (b *bench) pass(r core.Repository, d, step time.Duration) {
	b.Helper()
	b.rest(r)
	for ; d > 0; d -= step {
		b.clock.Advance(min(d, step))
		b.rest(r)
	}
}

// polled makes a mirrored repository that is polled.
func (b *bench) polled(name, poll string) (core.Repository, core.ObjectID) {
	b.Helper()
	r, one := b.mirrored(name)
	b.choose(r, core.Settings{Poll: poll})
	return r, one
}

func (b *bench) choose(r core.Repository, s core.Settings) {
	b.Helper()
	require.NoError(b, b.Store.SaveSettings(context.Background(), r.ID, s))
	require.NoError(b, b.schedule.SettingsChanged(context.Background(), r.ID))
	b.rest(r)
}

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
			b := newBench(t, coretest.Options{})
			r, one := b.polled("a", tc.poll)
			s := b.state(r)
			s.ChangedAt, s.FirstSyncedAt = b.clock.Now().Add(-tc.quiet), b.clock.Now().Add(-tc.quiet)
			require.NoError(t, b.Store.SaveSync(t.Context(), s))
			b.choose(r, core.Settings{Poll: tc.poll}) // reckons anew, and looks
			runs, events := len(b.runs(r)), len(b.allEvents(r))
			// Ten tags in one push: a host that tells of it at all tells of none of them.
			two := b.ForgeCommit(r, "refs/heads/main", "two", one)
			for i := range 10 {
				b.ForgeGit(r, "update-ref", fmt.Sprint("refs/tags/v", i), string(two))
			}
			b.pass(r, tc.bound, tc.bound)
			b.equal(r)
			require.Equal(t, "poll", b.runs(r)[0].Trigger)
			require.Len(t, b.runs(r), runs+1)
			require.Equal(t, b.clock.Now(), b.state(r).ChangedAt)
			require.Len(t, b.allEvents(r), events+2+11, "started, eleven refs, succeeded")
		})
	}
}

func TestService_poll_lookThatFindsNoChange(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, _ := b.polled("a", "1m")
	b.Forge.ForgetRequests()
	before, runs, events := b.state(r), len(b.runs(r)), len(b.allEvents(r))
	b.pass(r, time.Hour, 5*time.Second)
	looks := b.Forge.Count(forgetest.KindListRefs)
	require.InDelta(t, 58, looks, 8)
	require.Zero(t, b.Forge.Count(forgetest.KindFetch))
	require.Len(t, b.runs(r), runs)
	require.Len(t, b.allEvents(r), events)
	after := b.state(r)
	require.Equal(t, before.Runs, after.Runs)
	require.Equal(t, before.Wanted, after.Wanted)
	require.WithinDuration(t, b.clock.Now(), after.ObservedAt, 2*time.Minute)
	require.Equal(t, before.ChangedAt, after.ChangedAt)
}

func TestService_poll_switches(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, _ := b.mirrored("a")
	require.Zero(t, b.state(r).PollAt, "the provider says off")
	b.Plugin.SetPoll("auto")
	require.NoError(t, b.schedule.SettingsChanged(t.Context(), r.ID))
	b.rest(r)
	require.NotZero(t, b.state(r).PollAt)
	b.choose(r, core.Settings{Poll: "off"})
	require.Zero(t, b.state(r).PollAt)
	b.choose(r, core.Settings{Poll: "nonsense"})
	require.NotZero(t, b.state(r).PollAt)

	never := b.Synced("never")
	require.NoError(t, b.schedule.SettingsChanged(t.Context(), never.ID))
	require.Zero(t, b.state(never).PollAt, "what has no first mirror is not polled")
	local := b.Local("local")
	require.NoError(t, b.schedule.SettingsChanged(t.Context(), local.ID))
}

func TestService_poll_startWithAnotherDefault(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	var all []core.Repository
	for i := range 5 {
		r, _ := b.mirrored(fmt.Sprint("r", i))
		all = append(all, r)
	}
	b.clock.Advance(1000 * time.Hour)
	b.halt()
	b.Plugin.SetPoll("auto")
	b.start()
	at := map[time.Time]bool{}
	for _, r := range all {
		require.Eventually(t, func() bool { return !b.state(r).PollAt.IsZero() }, time.Minute, time.Millisecond)
		s := b.state(r)
		require.False(t, s.PollAt.Before(b.clock.Now()))
		require.False(t, s.PollAt.After(b.clock.Now().Add(8*time.Hour)))
		at[s.PollAt] = true
	}
	require.Len(t, at, len(all), "no burst")
}

func TestService_poll_failureIsARunWithBackoff(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.polled("a", "1m")
	remove := b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindListRefs, forgetest.KindDiscover}, Status: 503})
	b.Forge.ForgetRequests()
	b.pass(r, 70*time.Second, 70*time.Second)
	s := b.state(r)
	require.Equal(t, 1, s.Failures)
	require.Equal(t, core.ClassUnavailable, s.LastClass)
	require.Equal(t, "failed", b.runs(r)[0].Outcome)
	require.LessOrEqual(t, b.Forge.Count(), 2, "one contact, which is the run's")
	b.pass(r, 3*time.Hour, time.Minute)
	require.Less(t, b.Forge.Count(), 60, "polls wait for the back-off, too")
	two := b.ForgeCommit(r, "refs/heads/main", "two", one)
	remove()
	b.pass(r, 12*time.Minute, time.Minute)
	require.Equal(t, two, b.Refs(r)["refs/heads/main"])
	require.Zero(t, b.state(r).Failures)
}

func TestService_poll_notesWebhooksThatDoNotCome(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.polled("a", "1m")
	require.NoError(t, b.Store.SaveInboundWebhook(t.Context(), core.InboundWebhook{
		RepoID: r.ID, Token: "t", State: core.InboundActive, CreatedAt: b.clock.Now(), NextCheck: b.clock.Now().Add(24 * time.Hour),
	}))
	two := b.ForgeCommit(r, "refs/heads/main", "two", one)
	b.pass(r, 70*time.Second, 70*time.Second)
	b.equal(r)
	w, err := b.Store.InboundWebhook(t.Context(), r.ID)
	require.NoError(t, err)
	require.WithinDuration(t, b.clock.Now(), w.LastMissedAt, 20*time.Second, "rest may have moved the clock")
	require.Equal(t, w.LastMissedAt, w.NextCheck, "whether it is at the host is seen at once")
	require.EqualValues(t, 1, b.missed.Load())

	// One that came with something else is an announcement, too.
	missed := w.LastMissedAt
	require.NoError(t, b.Store.NoteInbound(t.Context(), r.ID, b.clock.Now(), time.Time{}))
	b.ForgeCommit(r, "refs/heads/main", "three", two)
	b.pass(r, 70*time.Second, 70*time.Second)
	b.equal(r)
	w, err = b.Store.InboundWebhook(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, missed, w.LastMissedAt)
}

func TestService_Fresh_recordsTheConfirmation(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	at := b.state(r).ObservedAt
	require.Equal(t, b.clock.Now(), at)
	b.clock.Advance(time.Hour)
	require.NoError(t, b.sync.Fresh(t.Context(), r))
	require.Equal(t, b.clock.Now(), b.state(r).ObservedAt)
	require.Equal(t, at, b.state(r).ChangedAt)
	b.clock.Advance(time.Hour)
	b.ForgeCommit(r, "refs/heads/main", "two", one)
	require.NoError(t, b.sync.Fresh(t.Context(), r))
	b.equal(r)
	s := b.state(r)
	require.Equal(t, b.clock.Now(), s.ObservedAt)
	require.Equal(t, b.clock.Now(), s.ChangedAt)
	names := []string{}
	for _, p := range b.runs(r)[0].Phases {
		names = append(names, p.Name)
	}
	require.Equal(t, []string{"list", "fetch", "apply"}, names)
}
