package mirror_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// A push of several refs that the upstream takes slowly, one after the other,
// and tells of each. Nothing of it is news here.
func TestInvariant05_ownRefsInFlightCauseOneListing(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	two := coretest.Commit(t, b.Path(r), "two", one)
	var updates []core.RefUpdate
	for i := range 10 {
		updates = append(updates, core.RefUpdate{Name: fmt.Sprintf("refs/tags/t%d", i), New: two})
	}
	taken, goOn := make(chan struct{}), make(chan struct{})
	defer b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindPushDiscover}, Times: 1, Before: func() {
		b.ForgeGit(r, "fetch", "-q", "file://"+b.Path(r), string(two))
		for _, u := range updates[:9] {
			b.ForgeGit(r, "update-ref", u.Name, string(u.New))
		}
		close(taken)
		<-goOn
	}})()
	done := make(chan []push.Result, 1)
	go func() { done <- b.Write(r, updates...) }()
	<-taken
	runs, events := len(b.Runs(r)), len(b.AllEvents(r))
	b.Forge.ForgetRequests()

	for _, u := range updates[:9] {
		b.Announce(r, u)
	}
	require.NoError(t, b.Mirror.Fresh(t.Context(), b.Reload(r))) // somebody looks
	require.Equal(t, 1, b.Forge.Count(forgetest.KindListRefs))
	require.Zero(t, b.Forge.Count(forgetest.KindFetch))
	require.Len(t, b.Runs(r), runs)
	require.Len(t, b.AllEvents(r), events)
	// Somebody asks for a sync: it has a row and its events, and fetches nothing.
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, "unchanged", b.Runs(r)[0].Outcome)
	require.Zero(t, b.Forge.Count(forgetest.KindFetch))
	s := b.State(r)
	require.Less(t, s.Served, s.Wanted, "it goes on")
	require.Equal(t, 30*time.Second, s.NextAttemptAt.Sub(b.Clock.Now()))
	// What others do meanwhile is brought, and what is in flight is left alone.
	b.ForgeGit(r, "update-ref", "refs/heads/other", string(one))
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, one, b.Refs(r)["refs/heads/other"])
	require.NotContains(t, b.Refs(r), "refs/tags/t1")
	runs, events = len(b.Runs(r)), len(b.AllEvents(r))

	close(goOn)
	for _, result := range <-done {
		require.True(t, result.OK(), "%+v", result)
	}
	// Its end is what the run waited for, not a time.
	require.Eventually(t, func() bool { s := b.State(r); return s.Served == s.Wanted }, time.Minute, 10*time.Millisecond)
	b.RequireEqual(r)
	require.Len(t, b.Runs(r), runs)
	require.Len(t, b.AllEvents(r), events+len(updates), "the session's own")
	require.Zero(t, b.Forge.Count(forgetest.KindFetch), "the other branch is at what is here")
}

// A push whose refs have moved here, and whose record is about to be written: the
// webhook of the host comes just then.
func TestInvariant05_ownRefsBeforeTheirRecordCauseNoRun(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string]bool{"the look ends first": false, "the push ends before the look": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var pushing atomic.Bool
			moved, goOn, done := make(chan struct{}), make(chan struct{}), make(chan []push.Result, 1)
			b := mirrortest.New(t, coretest.Options{Failpoint: func(name string) {
				if name == "refs-applied" && pushing.CompareAndSwap(true, false) {
					close(moved)
					<-goOn
				}
			}})
			r, one := b.Mirrored("a")
			u := core.RefUpdate{Name: "refs/heads/main", Old: one, New: coretest.Commit(t, b.Path(r), "two", one)}
			var pushed []push.Result
			end := sync.OnceFunc(func() {
				close(goOn)
				pushed = <-done
			})
			pushing.Store(true)
			go func() { done <- b.Write(r, u) }()
			<-moved
			require.NotEmpty(t, b.State(r).Digest, "its record takes it")
			runs := len(b.Runs(r))
			b.Forge.ForgetRequests()

			if ends {
				b.OnceListed(end) // between the listing and what is made of it
				gen, err := b.Schedule.Request(t.Context(), r.ID, schedule.TriggerWebhook, "")
				require.NoError(t, err)
				require.NoError(t, b.Wait(r, gen))
			} else {
				b.Announce(r, u)
				require.NoError(t, b.Mirror.Fresh(t.Context(), b.Reload(r)))
			}
			require.Len(t, b.Runs(r), runs)

			end()
			require.True(t, pushed[0].OK())
			b.Settle(r)
			b.RequireEqual(r)
			require.Len(t, b.Runs(r), runs)
			require.Zero(t, b.Forge.Count(forgetest.KindFetch))
		})
	}
}
