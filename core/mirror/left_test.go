package mirror_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
	"github.com/headwater-git/headwater/core/schedule"
)

// The store fails once a run has moved refs: nobody builds on them before it is
// written down, and it has one event without a restart.
func TestService_storeThatFailsAfterARunMovedRefs(t *testing.T) {
	t.Parallel()
	var b *mirrortest.Bench
	var full atomic.Bool
	entered := make(chan struct{})
	b = mirrortest.New(t, coretest.Options{Failpoint: func(name string) {
		if name == "refs-applied" && full.CompareAndSwap(true, false) {
			b.Store.Fail(errors.New("disk full"))
			close(entered)
		}
	}})
	r, one := b.Mirrored("a")
	require.NoError(t, b.Push.Recover(t.Context()))
	had := len(b.Events(r))
	two := b.ForgeCommit(r, "refs/heads/main", "two", one)
	full.Store(true)
	gen, err := b.Schedule.Request(t.Context(), r.ID, schedule.TriggerAPI, "")
	require.NoError(t, err)
	<-entered
	b.Clock.Await(storeRest)
	b.Clock.Advance(time.Minute)
	// The store takes nothing yet, or the next run might have ended well before this looks.
	require.Error(t, b.Wait(r, gen))
	b.Clock.Await(storeRest)
	b.Store.Fail(nil)
	b.Clock.Advance(time.Minute)
	b.Settle(r)
	require.Equal(t, two, b.Refs(r)["refs/heads/main"])
	require.Equal(t, core.KindLocked, b.Write(r, core.RefUpdate{Name: "refs/heads/main", Old: two, New: one})[0].Kind)
	require.Len(t, b.Events(r), had)
	require.NoError(t, b.Push.Recover(t.Context()))
	require.Equal(t, []string{"refs/heads/main"}, b.Events(r)[had:])
	require.False(t, b.Repos.Locks().RefLocked(r.ID, "refs/heads/main"))
	require.True(t, b.Write(r, core.RefUpdate{Name: "refs/heads/main", Old: two, New: one})[0].OK())
}
