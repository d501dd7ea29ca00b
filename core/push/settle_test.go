package push_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// run has open journal entries settled in the background, as a server does.
func (b *bench) run() {
	b.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	done := make(chan error, 1)
	go func() { done <- b.push.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		require.NoError(b, <-done)
	})
}

// tick moves the clock until the condition holds: a second at a time, and only
// when somebody waits for it.
func tick(t *testing.T, clock *coretest.Clock, done func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		if done() {
			return true
		}
		if n, _ := clock.Timers(); n > 0 {
			clock.Advance(time.Second)
		}
		return false
	}, time.Minute, time.Millisecond)
}

var onPush = []forgetest.Kind{forgetest.KindPush}

// The upstream takes the push and answers half a report: git waits for the rest
// for ever. The client is notified, and what happened becomes true here.
func TestInvariant03_halfAReport(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{Stall: 3 * time.Second}, push.Options{})
	r := b.Synced("a")
	clone, id := b.seed(r, "refs/heads/main")
	b.Forge.Inject(forgetest.Fault{Kinds: onPush, HalfReply: true})
	coretest.Run(t, clone, "update-ref", "refs/heads/x", string(id))
	out, err := b.client(clone, r, "refs/heads/x")
	require.NoError(t, err, out)
	require.Contains(t, out, "did not confirm")
	b.inSync(r)
	require.Equal(t, id, b.Refs(r)["refs/heads/x"])
	require.Equal(t, []string{"refs/heads/x"}, b.Events(r))
	require.Equal(t, []core.JournalState{core.JournalApplied}, b.Journal(r))
}

// A host's hook finishes after the connection is gone: the old id that it still
// shows is no answer yet.
func TestInvariant03_hookThatFinishesLater(t *testing.T) {
	t.Parallel()
	clock := coretest.NewClock()
	b := newBench(t, coretest.Options{Clock: clock}, push.Options{SettlePeriod: 2 * time.Minute})
	b.run()
	r := b.Synced("a")
	_, id := b.seed(r, "refs/heads/main")
	remove := b.Forge.Inject(forgetest.Fault{Kinds: onPush, Drop: true})
	results := b.write(r, false, core.RefUpdate{Name: "refs/heads/x", New: id}, core.RefUpdate{Name: "refs/notes/n", New: id})
	remove()
	require.Equal(t, core.KindUpstreamTimeout, results[0].Kind)
	require.Contains(t, results[0].Reason, "outcome unknown")
	require.True(t, results[1].OK(), "what is ours alone does not wait")
	require.Equal(t, []string{"refs/heads/x"}, b.push.Unsettled(r.ID))
	require.True(t, b.Repos.Locks().RefLocked(r.ID, "refs/heads/x"))
	require.False(t, b.Repos.Locks().RefLocked(r.ID, "refs/notes/n"))
	require.Equal(t, []core.JournalState{core.JournalSent, core.JournalApplied}, b.Journal(r))

	again := b.write(r, false, core.RefUpdate{Name: "refs/heads/x", New: id})
	require.Equal(t, core.KindLocked, again[0].Kind)
	require.Contains(t, again[0].Reason, "not known yet")

	before := b.Forge.Count(forgetest.KindListRefs)
	start := clock.Now()
	tick(t, clock, func() bool { return b.Forge.Count(forgetest.KindListRefs) >= before+2 })
	require.NotEmpty(t, b.push.Unsettled(r.ID), "two listings are not enough")
	require.Zero(t, b.wanted.Load(), "listings, and no sync")

	dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
	require.NoError(t, err)
	coretest.Run(t, dir, "fetch", "--quiet", b.Path(r), "refs/heads/main")
	coretest.Run(t, dir, "update-ref", "refs/heads/x", string(id))
	tick(t, clock, func() bool { return len(b.push.Unsettled(r.ID)) == 0 })
	require.Less(t, clock.Now().Sub(start), 2*time.Minute, "the new id settles it at once")
	b.inSync(r)
	require.Equal(t, id, b.Refs(r)["refs/heads/x"])
	require.ElementsMatch(t, []string{"refs/heads/x", "refs/notes/n"}, b.Events(r))
	entries := b.audit(r)
	require.Len(t, entries, 3, "the session, the one that was turned away, and what came of the first")
}

// The old id counts once several listings over two minutes agree.
func TestInvariant03_oldIDNeedsTime(t *testing.T) {
	t.Parallel()
	clock := coretest.NewClock()
	b := newBench(t, coretest.Options{Clock: clock}, push.Options{SettlePeriod: 2 * time.Minute})
	b.run()
	r := b.Synced("a")
	_, id := b.seed(r, "refs/heads/main")
	remove := b.Forge.Inject(forgetest.Fault{Kinds: onPush, Status: 504})
	results := b.write(r, true, core.RefUpdate{Name: "refs/heads/x", New: id}, core.RefUpdate{Name: "refs/heads/main", Old: id})
	remove()
	for _, res := range results {
		require.Contains(t, res.Reason, "outcome unknown")
	}
	require.Empty(t, b.audit(r), "it comes with the outcome")
	listings, start := b.Forge.Count(forgetest.KindListRefs), clock.Now()
	tick(t, clock, func() bool { return len(b.push.Unsettled(r.ID)) == 0 })
	require.GreaterOrEqual(t, clock.Now().Sub(start), 2*time.Minute)
	require.GreaterOrEqual(t, b.Forge.Count(forgetest.KindListRefs)-listings, 3)
	b.inSync(r)
	require.Equal(t, []core.JournalState{core.JournalDropped}, b.Journal(r))
	require.Len(t, b.audit(r), 1)
	require.Equal(t, core.OutcomeFailed, b.audit(r)[0].Outcome)
	require.True(t, b.write(r, false, core.RefUpdate{Name: "refs/heads/x", New: id})[0].OK())
	b.inSync(r)
}

// What fails before anything is sent has no effect, and is said so: nobody asks,
// nothing is locked.
func TestInvariant02_nothingWasSent(t *testing.T) {
	t.Parallel()
	page := func(text string) forgetest.Fault {
		return forgetest.Fault{Status: 200, Body: text, Header: map[string][]string{"Content-Type": {"text/html"}}}
	}
	for name, tc := range map[string]struct {
		fault forgetest.Fault
		kind  core.Kind
		says  string
	}{
		// Git takes what has no line ends for an empty list of the old protocol.
		"a page of one line":          {page("<html>Sign in</html>"), core.KindUpstreamUnavailable, "what answers there is no git server"},
		"a page of lines":             {page("<html>\nSign in\n</html>\n"), core.KindUpstreamUnavailable, "the host's answer is not git's protocol"},
		"a page that looks like refs": {page(strings.Repeat("1", 40) + "\trefs/heads/x\n"), core.KindUpstreamUnavailable, "what answers there is no git server"},
		"an empty page":               {page(""), core.KindUpstreamUnavailable, "what answers there is no git server"},
		"a bad gateway":               {forgetest.Fault{Status: 502}, core.KindUpstreamUnavailable, "upstream: "},
		"cut off":                     {forgetest.Fault{Drop: true}, core.KindUpstreamUnavailable, "upstream: "},
		"silence":                     {forgetest.Fault{Stall: true}, core.KindUpstreamTimeout, "the host stopped answering"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, coretest.Options{Stall: 3 * time.Second}, push.Options{})
			r := b.Synced("a")
			_, id := b.seed(r, "refs/heads/main")
			tc.fault.Kinds = []forgetest.Kind{forgetest.KindPushDiscover}
			b.Forge.Inject(tc.fault)
			// A deletion: on its way git prints nothing. Of another change it does.
			for _, u := range []core.RefUpdate{{Name: "refs/heads/main", Old: id}, {Name: "refs/heads/new", New: id}} {
				results := b.write(r, false, u)
				require.Equal(t, tc.kind, results[0].Kind, results[0].Reason)
				require.Contains(t, results[0].Reason, tc.says)
				require.NotContains(t, results[0].Reason, "unknown")
			}
			require.Equal(t, []core.JournalState{core.JournalDropped, core.JournalDropped}, b.Journal(r))
			require.Empty(t, b.push.Unsettled(r.ID))
			b.inSync(r)
		})
	}
}

// Past the journal Write has results and no error, whatever the store does, and
// the running server finishes what could not be written down.
func TestInvariant17_storeThatFailsPastTheJournal(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		at     string // the store fails from here on
		synced bool
		fault  forgetest.Fault
		kind   core.Kind // of the result
		state  core.JournalState
	}{
		"applied, local":           {"refs-applied", false, forgetest.Fault{}, "", core.JournalApplied},
		"applied, synced":          {"refs-applied", true, forgetest.Fault{}, "", core.JournalApplied},
		"the upstream took it not": {"upstream-accepted", true, forgetest.Fault{Status: 403}, core.KindUpstreamRejected, core.JournalDropped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b *bench
			var once atomic.Bool
			b = newBench(t, coretest.Options{Failpoint: func(name string) {
				if name == tc.at && once.CompareAndSwap(false, true) {
					b.Store.Fail(errors.New("disk full"))
				}
			}}, push.Options{})
			r := b.Local("l")
			if tc.synced {
				r = b.Synced("a")
			}
			_, id := b.seed(r, "refs/heads/main")
			tc.fault.Kinds = onPush
			if tc.fault.Status != 0 {
				b.Forge.Inject(tc.fault)
			}
			results := b.write(r, false, core.RefUpdate{Name: "refs/heads/x", New: id})
			require.Equal(t, tc.kind, results[0].Kind, results[0].Reason)
			require.True(t, b.Repos.Locks().RefLocked(r.ID, "refs/heads/x"), "its journal entry is open")
			require.Error(t, b.push.Recover(t.Context()))
			b.Store.Fail(nil)
			b.run()
			require.Eventually(t, func() bool { return b.Journal(r)[0] == tc.state }, time.Minute, 10*time.Millisecond)
			require.Eventually(t, func() bool { return !b.Repos.Locks().RefLocked(r.ID, "refs/heads/x") }, time.Minute, 10*time.Millisecond)
			if tc.kind == "" {
				require.Equal(t, []string{"refs/heads/x"}, b.Events(r), "one event")
				require.Equal(t, id, b.Refs(r)["refs/heads/x"])
			} else {
				require.Empty(t, b.Events(r))
			}
			require.Len(t, b.audit(r), 1)
			require.Equal(t, "t", b.audit(r)[0].Actor.Subject)
		})
	}
}
