package mirror_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
	"github.com/headwater-git/headwater/providers/forgetest"
)

const mainRef = "refs/heads/main"

func TestInvariant05_echoOfOurOwnPush(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	two := coretest.Commit(t, b.Path(r), "two", one)
	require.True(t, b.Write(r, core.RefUpdate{Name: mainRef, Old: one, New: two})[0].OK())
	b.WaitIdle(r)
	b.Forge.ForgetRequests()
	before, runs, events := b.State(r), len(b.Runs(r)), len(b.AllEvents(r))
	b.Clock.Advance(time.Minute)
	for range 3 { // the host tells it three times over
		b.Announce(r, core.RefUpdate{Name: mainRef, Old: one, New: two})
		b.WaitIdle(r)
	}
	require.Equal(t, 1, b.Forge.Count(forgetest.KindListRefs), "one comparison; the others wait for the end of the pause")
	b.Pass(r, 2*time.Second, time.Second)
	require.Equal(t, 2, b.Forge.Count(forgetest.KindListRefs))
	require.Zero(t, b.Forge.Count(forgetest.KindFetch))
	require.Len(t, b.Runs(r), runs, "no row")
	require.Len(t, b.AllEvents(r), events, "no event")
	after := b.State(r)
	require.Equal(t, before.Runs, after.Runs)
	require.Equal(t, before.ChangedAt, after.ChangedAt)
	require.True(t, after.ObservedAt.After(before.ObservedAt))
	require.Zero(t, b.Expecting(r))
	b.RequireEqual(r)
}

// The host's webhook can come before our own push is through.
func TestInvariant05_echoWhileThePushIsOnItsWay(t *testing.T) {
	t.Parallel()
	var b *mirrortest.Bench
	var r core.Repository
	var one, two core.ObjectID
	armed := false
	b = mirrortest.New(t, coretest.Options{Failpoint: func(name string) {
		if armed && name == "upstream-accepted" {
			armed = false
			b.Announce(r, core.RefUpdate{Name: mainRef, Old: one, New: two})
		}
	}})
	r, one = b.Mirrored("a")
	two = coretest.Commit(t, b.Path(r), "two", one)
	runs := len(b.Runs(r))
	b.Forge.ForgetRequests()
	armed = true
	require.True(t, b.Write(r, core.RefUpdate{Name: mainRef, Old: one, New: two})[0].OK())
	// The look waits for the end of the push, and for no time.
	require.Eventually(t, func() bool { return b.Forge.Count(forgetest.KindListRefs) == 1 }, time.Minute, time.Millisecond)
	b.Pass(r, 3*time.Second, time.Second)
	require.Equal(t, 1, b.Forge.Count(forgetest.KindListRefs))
	require.Zero(t, b.Forge.Count(forgetest.KindFetch))
	require.Len(t, b.Runs(r), runs)
	require.Len(t, b.Events(r), 1)
	require.Zero(t, b.Expecting(r))
}

func TestInvariant06_webhookBeforeTheRef(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]time.Duration{"a moment": 800 * time.Millisecond, "seconds": 7 * time.Second, "minutes": 4 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := mirrortest.New(t, coretest.Options{})
			r, one := b.Mirrored("a")
			dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
			require.NoError(t, err)
			two := coretest.Commit(t, dir, "two", one) // no ref shows it yet
			b.Forge.ForgetRequests()
			b.Announce(r, core.RefUpdate{Name: mainRef, Old: one, New: two})
			b.Pass(r, late, late)
			require.Equal(t, one, b.Refs(r)[mainRef])
			require.Equal(t, 1, b.Expecting(r))
			b.ForgeGit(r, "update-ref", mainRef, string(two))
			b.Pass(r, max(2*time.Second, late/2), time.Second)
			require.Equal(t, two, b.Refs(r)[mainRef], "seen soon after it was there")
			require.Zero(t, b.Expecting(r))
			require.Zero(t, b.State(r).PollAt, "it is not polled")
			require.Equal(t, "webhook", b.Runs(r)[0].Trigger)
		})
	}
}

func TestInvariant06_looksForAnIdEnd(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
	require.NoError(t, err)
	never := coretest.Commit(t, dir, "never", one)
	b.Forge.ForgetRequests()
	b.Announce(r, core.RefUpdate{Name: mainRef, Old: one, New: never})
	b.Pass(r, 12*time.Minute, 500*time.Millisecond)
	require.Zero(t, b.Expecting(r), "expired")
	require.Zero(t, b.State(r).PollAt)
	require.InDelta(t, 15, b.Forge.Count(forgetest.KindListRefs), 2)
	require.Zero(t, b.Forge.Count(forgetest.KindFetch))

	// Superseded: the upstream has gone on, or the webhook came late.
	two := b.ForgeCommit(r, mainRef, "two", one)
	three := b.ForgeCommit(r, mainRef, "three", two)
	b.Announce(r, core.RefUpdate{Name: mainRef, Old: one, New: two})
	b.WaitIdle(r)
	require.Equal(t, three, b.Refs(r)[mainRef])
	require.Zero(t, b.Expecting(r))
	b.Clock.Advance(time.Minute)
	b.Announce(r, core.RefUpdate{Name: mainRef, Old: one, New: two})
	b.WaitIdle(r)
	require.Zero(t, b.Expecting(r), "it is in the history of what is here")

	// Deleted, and announced before it is gone.
	b.ForgeGit(r, "update-ref", "refs/heads/x", string(three))
	b.Clock.Advance(time.Minute)
	b.Announce(r, core.RefUpdate{Name: "refs/heads/x", New: three})
	b.WaitIdle(r)
	require.Equal(t, three, b.Refs(r)["refs/heads/x"])
	b.Clock.Advance(time.Minute)
	b.Announce(r, core.RefUpdate{Name: "refs/heads/x", Old: three})
	b.WaitIdle(r)
	require.Equal(t, 1, b.Expecting(r))
	b.ForgeGit(r, "update-ref", "-d", "refs/heads/x")
	b.Pass(r, 2*time.Second, time.Second)
	require.NotContains(t, b.Refs(r), "refs/heads/x")
	require.Zero(t, b.Expecting(r))
}

func TestService_Announced_tenTagsOfWhichNoneIsNamed(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	two := b.ForgeCommit(r, mainRef, "two", one)
	for i := range 10 {
		b.ForgeGit(r, "update-ref", fmt.Sprint("refs/tags/v", i), string(two))
	}
	b.Announce(r, core.RefUpdate{Name: mainRef, Old: one, New: two})
	b.WaitIdle(r)
	b.RequireEqual(r)
	b.ForgeGit(r, "update-ref", "refs/tags/late", string(one))
	b.Clock.Advance(time.Minute)
	b.Announce(r) // more refs than the host lists
	b.WaitIdle(r)
	b.RequireEqual(r)
}

func TestService_Announced_leftOut(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	require.NoError(t, b.Store.SaveSettings(t.Context(), r.ID, core.Settings{Exclude: []string{"refs/heads/wip/**"}}))
	wanted := b.State(r).Wanted
	b.Announce(r, core.RefUpdate{Name: "refs/heads/wip/x", New: one}, core.RefUpdate{Name: "refs/pull/1/head", New: one})
	require.Equal(t, wanted, b.State(r).Wanted)
	require.Zero(t, b.Expecting(r))
	require.Equal(t, core.KindNotFound, core.KindOf(b.Announcer.Announce(t.Context(), b.Local("local").ID, nil)))
}

func TestInvariant18_tenThousandWebhooks(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	runs := len(b.Runs(r))
	two := b.ForgeCommit(r, mainRef, "two", one)
	b.Forge.ForgetRequests()
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.OnListed(func() error {
		once.Do(func() {
			close(entered)
			<-release
		})
		return nil
	})
	// The first is followed at once; the rest of a minute's worth come meanwhile.
	b.Announce(r, core.RefUpdate{Name: mainRef, Old: one, New: two})
	<-entered
	es := []core.Expectation{{RepoID: r.ID, Ref: mainRef, Old: one, New: two, Since: b.Clock.Now(), ExpiresAt: b.Clock.Now().Add(10 * time.Minute)}}
	for second := range 60 {
		// Together in transactions, since a transaction each is a wait for the disk.
		require.NoError(t, b.Store.Tx(t.Context(), func(q core.Queries) error {
			for range 10_000 / 60 {
				if err := b.Announcer.AnnounceIn(t.Context(), q, r.ID, es); err != nil {
					return err
				}
			}
			return nil
		}))
		b.Announcer.NotifyAll()
		b.Clock.Advance(time.Second)
		if second == 30 {
			close(release)
		}
	}
	b.WaitIdle(r)
	b.Pass(r, 3*time.Second, time.Second)
	b.RequireEqual(r)
	require.Len(t, b.Runs(r), runs+1, "one run, and looks that find nothing")
	require.Equal(t, 1, b.Forge.Count(forgetest.KindFetch), "one fetch")
	require.LessOrEqual(t, b.Forge.Count(forgetest.KindListRefs), 70, "one look a second at most")
	require.Len(t, b.Events(r), 1)
	require.Zero(t, b.Expecting(r))
}

// Nothing of what the host's clock says is relied on.
func TestService_Announced_clockOfTheHost(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	list := []forgetest.Kind{forgetest.KindListRefs, forgetest.KindDiscover}
	for i, skew := range []time.Duration{-30 * 365 * 24 * time.Hour, 30 * 365 * 24 * time.Hour} {
		host := b.Clock.Now().Add(skew)
		remove := b.Forge.Inject(forgetest.Fault{Kinds: list, Status: 429, Header: map[string][]string{
			"Date": {host.Format("Mon, 02 Jan 2006 15:04:05 GMT")}, "Retry-After": {host.Add(time.Minute).Format("Mon, 02 Jan 2006 15:04:05 GMT")},
		}})
		two := b.ForgeCommit(r, mainRef, fmt.Sprint("two", i), one)
		b.Announce(r, core.RefUpdate{Name: mainRef, Old: one, New: two})
		b.WaitIdle(r)
		s := b.State(r)
		require.Equal(t, core.ClassRateLimited, s.LastClass)
		require.WithinDuration(t, b.Clock.Now().Add(time.Minute), s.NextAttemptAt, 15*time.Second)
		remove()
		b.Pass(r, 3*time.Minute, 10*time.Second)
		b.RequireEqual(r)
		one = two
	}
}
