package mirror

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// Invariant 8: a look that began before somebody asked cannot satisfy them.
func TestInvariant08_aLookThatBeganBeforeDoesNotCount(t *testing.T) {
	t.Parallel()
	var begun atomic.Int64
	gate, gateOfOther := make(chan struct{}), make(chan struct{})
	started := make(chan struct{}, 10)
	l := newLooker(func(_ context.Context, r core.Repository) error {
		begun.Add(1)
		started <- struct{}{}
		if r.ID == "repo_1" {
			<-gate
		} else {
			<-gateOfOther
		}
		return nil
	})
	defer l.Close()
	r := core.Repository{ID: "repo_1"}
	first := l.join(r)
	<-started
	// Two hundred ask during the first look: they share the second one.
	var waiting []*look
	for range 200 {
		waiting = append(waiting, l.join(r))
	}
	for _, w := range waiting {
		require.NotSame(t, first, w)
		require.Same(t, waiting[0], w)
	}
	other := l.join(core.Repository{ID: "repo_2"})
	<-started // another repository waits for nobody
	gate <- struct{}{}
	gateOfOther <- struct{}{}
	<-first.done
	<-other.done
	<-started
	require.EqualValues(t, 3, begun.Load())
	gate <- struct{}{}
	require.NoError(t, l.Look(contextAfter(waiting[0], gate), r))
	l.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Empty(t, l.queue)
}

// contextAfter lets further looks pass once a look has ended.
func contextAfter(w *look, gate chan struct{}) context.Context {
	<-w.done
	close(gate)
	return context.Background()
}

func TestLooker_Look_callersMayGiveUp(t *testing.T) {
	t.Parallel()
	failure := errors.New("the host is down")
	gate := make(chan struct{})
	l := newLooker(func(ctx context.Context, _ core.Repository) error {
		select {
		case <-gate:
			return failure
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	r := core.Repository{ID: "repo_1"}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, l.Look(ctx, r), context.Canceled)
	w := l.join(r) // the look of the one who gave up goes on
	gate <- struct{}{}
	gate <- struct{}{}
	<-w.done
	require.ErrorIs(t, w.err, failure)
	hanging := l.join(r)
	l.Close()
	<-hanging.done
	require.ErrorIs(t, hanging.err, context.Canceled)
}

func TestLooker_Look_afterCloseBeginsNone(t *testing.T) {
	t.Parallel()
	begun := false
	l := newLooker(func(ctx context.Context, _ core.Repository) error {
		begun = true
		return ctx.Err()
	})
	l.Close()
	require.ErrorIs(t, l.Look(t.Context(), core.Repository{ID: "repo_1"}), context.Canceled)
	require.False(t, begun, "its goroutine would not be waited for")
}
