package remote

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
)

// watch ends a request at which too few bytes move. Its methods may be called side by
// side.
type watch struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
	stop   func()
	moved  atomic.Int64 // bytes
	local  atomic.Int64 // above 0: what is waited for is this server, not the host
}

// watched returns a context that ends when its host has moved fewer than stallBytes within
// limit. Call stop of the watch when the request has ended.
func watched(ctx context.Context, clock core.Clock, limit time.Duration) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{cancel: cancel, done: make(chan struct{})}
	w.stop = sync.OnceFunc(func() { close(w.done); cancel(nil) })
	go func() {
		for last := int64(0); ; {
			select {
			case <-w.done:
				return
			case <-ctx.Done():
				return
			case <-clock.After(limit):
			}
			moved := w.moved.Load()
			if moved-last < stallBytes && w.local.Load() == 0 {
				cancel(hosterror.ErrStalled)
				return
			}
			last = moved
		}
	}()
	return ctx, w
}

// alive counts as if enough had moved: something of another kind has come about.
func (w *watch) alive() { w.moved.Add(stallBytes) }
