package mirror_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// hook announces refs as core/inbound does.
func (b *bench) hook(r core.Repository, moves ...core.RefUpdate) {
	b.Helper()
	now := b.clock.Now()
	var es []core.Expectation
	for _, m := range moves {
		es = append(es, core.Expectation{RepoID: r.ID, Ref: m.Name, Old: m.Old, New: m.New, Since: now, ExpiresAt: now.Add(10 * time.Minute)})
	}
	require.NoError(b, b.sync.Announced(context.Background(), r.ID, es))
}

func (b *bench) expecting(r core.Repository) int {
	b.Helper()
	all, err := b.Store.Expectations(context.Background(), r.ID)
	require.NoError(b, err)
	return len(all)
}

const mainRef = "refs/heads/main"

func TestInvariant05_echoOfOurOwnPush(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	two := coretest.Commit(t, b.Path(r), "two", one)
	require.True(t, b.session(r, core.RefUpdate{Name: mainRef, Old: one, New: two})[0].OK())
	b.rest(r)
	b.Forge.ForgetRequests()
	before, runs, events := b.state(r), len(b.runs(r)), len(b.allEvents(r))
	b.clock.Advance(time.Minute)
	for range 3 { // the host tells it three times over
		b.hook(r, core.RefUpdate{Name: mainRef, Old: one, New: two})
		b.rest(r)
	}
	require.Equal(t, 1, b.Forge.Count(forgetest.KindListRefs), "one comparison; the others wait for the end of the pause")
	b.pass(r, 2*time.Second, time.Second)
	require.Equal(t, 2, b.Forge.Count(forgetest.KindListRefs))
	require.Zero(t, b.Forge.Count(forgetest.KindFetch))
	require.Len(t, b.runs(r), runs, "no row")
	require.Len(t, b.allEvents(r), events, "no event")
	after := b.state(r)
	require.Equal(t, before.Runs, after.Runs)
	require.Equal(t, before.ChangedAt, after.ChangedAt)
	require.True(t, after.ObservedAt.After(before.ObservedAt))
	require.Zero(t, b.expecting(r))
	b.equal(r)
}

// The host's webhook can come before our own push is through.
func TestInvariant05_echoWhileThePushIsOnItsWay(t *testing.T) {
	t.Parallel()
	var b *bench
	var r core.Repository
	var one, two core.ObjectID
	armed := false
	b = newBench(t, coretest.Options{Failpoint: func(name string) {
		if armed && name == "upstream-accepted" {
			armed = false
			b.hook(r, core.RefUpdate{Name: mainRef, Old: one, New: two})
		}
	}})
	r, one = b.mirrored("a")
	two = coretest.Commit(t, b.Path(r), "two", one)
	runs := len(b.runs(r))
	b.Forge.ForgetRequests()
	armed = true
	require.True(t, b.session(r, core.RefUpdate{Name: mainRef, Old: one, New: two})[0].OK())
	// The look waits for the end of the push, and for no time.
	require.Eventually(t, func() bool { return b.Forge.Count(forgetest.KindListRefs) == 1 }, time.Minute, time.Millisecond)
	b.pass(r, 3*time.Second, time.Second)
	require.Equal(t, 1, b.Forge.Count(forgetest.KindListRefs))
	require.Zero(t, b.Forge.Count(forgetest.KindFetch))
	require.Len(t, b.runs(r), runs)
	require.Len(t, b.Events(r), 1)
	require.Zero(t, b.expecting(r))
}

func TestInvariant06_webhookBeforeTheRef(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]time.Duration{"a moment": 800 * time.Millisecond, "seconds": 7 * time.Second, "minutes": 4 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, coretest.Options{})
			r, one := b.mirrored("a")
			dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
			require.NoError(t, err)
			two := coretest.Commit(t, dir, "two", one) // no ref shows it yet
			b.Forge.ForgetRequests()
			b.hook(r, core.RefUpdate{Name: mainRef, Old: one, New: two})
			b.pass(r, late, late)
			require.Equal(t, one, b.Refs(r)[mainRef])
			require.Equal(t, 1, b.expecting(r))
			b.ForgeGit(r, "update-ref", mainRef, string(two))
			b.pass(r, max(2*time.Second, late/2), time.Second)
			require.Equal(t, two, b.Refs(r)[mainRef], "seen soon after it was there")
			require.Zero(t, b.expecting(r))
			require.Zero(t, b.state(r).PollAt, "it is not polled")
			require.Equal(t, "webhook", b.runs(r)[0].Trigger)
		})
	}
}

func TestInvariant06_looksForAnIdEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
	require.NoError(t, err)
	never := coretest.Commit(t, dir, "never", one)
	b.Forge.ForgetRequests()
	b.hook(r, core.RefUpdate{Name: mainRef, Old: one, New: never})
	b.pass(r, 12*time.Minute, 500*time.Millisecond)
	require.Zero(t, b.expecting(r), "expired")
	require.Zero(t, b.state(r).PollAt)
	require.InDelta(t, 15, b.Forge.Count(forgetest.KindListRefs), 2)
	require.Zero(t, b.Forge.Count(forgetest.KindFetch))

	// Superseded: the upstream has gone on, or the webhook came late.
	two := b.ForgeCommit(r, mainRef, "two", one)
	three := b.ForgeCommit(r, mainRef, "three", two)
	b.hook(r, core.RefUpdate{Name: mainRef, Old: one, New: two})
	b.rest(r)
	require.Equal(t, three, b.Refs(r)[mainRef])
	require.Zero(t, b.expecting(r))
	b.clock.Advance(time.Minute)
	b.hook(r, core.RefUpdate{Name: mainRef, Old: one, New: two})
	b.rest(r)
	require.Zero(t, b.expecting(r), "it is in the history of what is here")

	// Deleted, and announced before it is gone.
	b.ForgeGit(r, "update-ref", "refs/heads/x", string(three))
	b.clock.Advance(time.Minute)
	b.hook(r, core.RefUpdate{Name: "refs/heads/x", New: three})
	b.rest(r)
	require.Equal(t, three, b.Refs(r)["refs/heads/x"])
	b.clock.Advance(time.Minute)
	b.hook(r, core.RefUpdate{Name: "refs/heads/x", Old: three})
	b.rest(r)
	require.Equal(t, 1, b.expecting(r))
	b.ForgeGit(r, "update-ref", "-d", "refs/heads/x")
	b.pass(r, 2*time.Second, time.Second)
	require.NotContains(t, b.Refs(r), "refs/heads/x")
	require.Zero(t, b.expecting(r))
}

func TestService_Announced_tenTagsOfWhichNoneIsNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	two := b.ForgeCommit(r, mainRef, "two", one)
	for i := range 10 {
		b.ForgeGit(r, "update-ref", fmt.Sprint("refs/tags/v", i), string(two))
	}
	b.hook(r, core.RefUpdate{Name: mainRef, Old: one, New: two})
	b.rest(r)
	b.equal(r)
	b.ForgeGit(r, "update-ref", "refs/tags/late", string(one))
	b.clock.Advance(time.Minute)
	b.hook(r) // more refs than the host lists
	b.rest(r)
	b.equal(r)
}

func TestService_Announced_leftOut(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	require.NoError(t, b.Store.SaveSettings(t.Context(), r.ID, core.Settings{Exclude: []string{"refs/heads/wip/**"}}))
	wanted := b.state(r).Wanted
	b.hook(r, core.RefUpdate{Name: "refs/heads/wip/x", New: one}, core.RefUpdate{Name: "refs/pull/1/head", New: one})
	require.Equal(t, wanted, b.state(r).Wanted)
	require.Zero(t, b.expecting(r))
	require.Equal(t, core.KindNotFound, core.KindOf(b.sync.Announced(t.Context(), b.Local("local").ID, nil)))
}

func TestInvariant18_tenThousandWebhooks(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	runs := len(b.runs(r))
	two := b.ForgeCommit(r, mainRef, "two", one)
	b.Forge.ForgetRequests()
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.ups.set(&b.ups.listed, func() error {
		once.Do(func() {
			close(entered)
			<-release
		})
		return nil
	})
	// The first is followed at once; the rest of a minute's worth come meanwhile.
	b.hook(r, core.RefUpdate{Name: mainRef, Old: one, New: two})
	<-entered
	es := []core.Expectation{{RepoID: r.ID, Ref: mainRef, Old: one, New: two, Since: b.clock.Now(), ExpiresAt: b.clock.Now().Add(10 * time.Minute)}}
	for second := range 60 {
		// Together in transactions, since a transaction each is a wait for the disk.
		require.NoError(t, b.Store.Tx(t.Context(), func(q core.Queries) error {
			for range 10_000 / 60 {
				if err := b.sync.AnnounceIn(t.Context(), q, r.ID, es); err != nil {
					return err
				}
			}
			return nil
		}))
		b.sync.NotifyAll()
		b.clock.Advance(time.Second)
		if second == 30 {
			close(release)
		}
	}
	b.rest(r)
	b.pass(r, 3*time.Second, time.Second)
	b.equal(r)
	require.Len(t, b.runs(r), runs+1, "one run, and looks that find nothing")
	require.Equal(t, 1, b.Forge.Count(forgetest.KindFetch), "one fetch")
	require.LessOrEqual(t, b.Forge.Count(forgetest.KindListRefs), 70, "one look a second at most")
	require.Len(t, b.Events(r), 1)
	require.Zero(t, b.expecting(r))
}

// Nothing of what the host's clock says is relied on.
func TestService_Announced_clockOfTheHost(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	list := []forgetest.Kind{forgetest.KindListRefs, forgetest.KindDiscover}
	for i, skew := range []time.Duration{-30 * 365 * 24 * time.Hour, 30 * 365 * 24 * time.Hour} {
		host := b.clock.Now().Add(skew)
		remove := b.Forge.Inject(forgetest.Fault{Kinds: list, Status: 429, Header: map[string][]string{
			"Date": {host.Format("Mon, 02 Jan 2006 15:04:05 GMT")}, "Retry-After": {host.Add(time.Minute).Format("Mon, 02 Jan 2006 15:04:05 GMT")},
		}})
		two := b.ForgeCommit(r, mainRef, fmt.Sprint("two", i), one)
		b.hook(r, core.RefUpdate{Name: mainRef, Old: one, New: two})
		b.rest(r)
		s := b.state(r)
		require.Equal(t, core.ClassRateLimited, s.LastClass)
		require.WithinDuration(t, b.clock.Now().Add(time.Minute), s.NextAttemptAt, 15*time.Second)
		remove()
		b.pass(r, 3*time.Minute, 10*time.Second)
		b.equal(r)
		one = two
	}
}
