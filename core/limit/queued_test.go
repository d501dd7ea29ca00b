package limit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/limit"
)

// Whoever counts is notified of those that had to wait, with how long, and of those that
// were turned away; of nobody who could begin at once.
func TestLimiter_queued(t *testing.T) {
	t.Parallel()
	c := newClock()
	var waits []limit.Wait // the limiter is used from one goroutine at a time here
	l := limit.New(limit.Options{Ceilings: limit.Ceilings{Caller: 1, Server: 4}, Waiting: 4, Wait: time.Minute, Clock: c, Queued: func(w limit.Wait) { waits = append(waits, w) }})
	first := take(t, l, key("a", "k", "r"))
	require.Empty(t, waits)

	next := queue(t, t.Context(), l, key("a", "k", "r"))
	c.advance(t, 1, 7*time.Second)
	first()
	got := <-next
	require.NoError(t, got.err)
	require.Equal(t, []limit.Wait{{Took: 7 * time.Second}}, waits)

	late := queue(t, t.Context(), l, key("a", "k", "r"))
	c.advance(t, 2, time.Minute) // the first one's timer is there still
	require.Error(t, (<-late).err)
	require.Equal(t, limit.Wait{Took: time.Minute, Refused: true}, waits[1])
	got.release()
}
