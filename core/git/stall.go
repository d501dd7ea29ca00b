package git

import (
	"context"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
)

// DefaultStall is how long a git that talks to a host may go without a sign of
// life before it is ended.
const DefaultStall = 2 * time.Minute

// stallSamples is how many looks in a row must show no progress. Looks are
// counted, not time: a machine that was suspended has not looked.
const stallSamples = 8

// idleCPU is how much of its time, in parts of a hundred, a process tree may use
// and still do nothing: curl wakes up now and then while it waits.
const idleCPU = 1

// work is what a process tree has done up to now. Whatever moves it is progress:
// bytes in and out (so a host's keep-alives, and what it says on stderr), and
// computing, as of a long walk or the resolving of deltas, which are silent.
type work struct {
	procs   string        // which processes there are
	cpu     time.Duration // of all of them and of children that ended
	io      uint64        // bytes through files and pipes
	sockets string        // fill of the sockets' queues; "" if nobody looked
}

// stallWatch ends the git of one call when it stalls. Git has no limit of its
// own that would do: curl's knows the speed of one transfer only, and so ends a
// push whose objects take a minute to be packed, while a push whose report was
// cut in half waits for ever between two transfers.
type stallWatch struct {
	cancel context.CancelCauseFunc
	quit   chan struct{}
	stop   func() // ends the watch, and releases what its context holds
}

// newStallWatch returns a context that the watch may end, with a [*hosterror.Error]
// as its cause.
func newStallWatch(ctx context.Context) (context.Context, *stallWatch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &stallWatch{cancel: cancel, quit: make(chan struct{})}
	w.stop = sync.OnceFunc(func() {
		close(w.quit)
		cancel(context.Canceled)
	})
	return ctx, w
}

// watch looks at the process group until stop is called. It goes by the
// machine's time, since it is about what real processes do.
func (w *stallWatch) watch(group int, stall time.Duration) {
	pause := stall / stallSamples
	tick := time.NewTicker(pause)
	defer tick.Stop()
	last, _ := workOf(group)
	for silent := 0; silent < stallSamples; {
		select {
		case <-w.quit:
			return
		case <-tick.C:
		}
		now, ok := workOf(group)
		switch {
		case !ok, now.since(last, pause):
			silent = 0
		default:
			// Sending a large buffer shows in the sockets alone. To look there
			// costs more, so only what is silent otherwise is asked.
			now.sockets = socketsOf(group)
			if silent++; last.sockets != "" && now.sockets != last.sockets {
				silent = 0
			}
		}
		last = now
	}
	w.cancel(&hosterror.Error{Class: core.ClassTimeout, HostText: "the host stopped answering", Err: hosterror.ErrStalled})
}

// since reports whether there is progress over what was seen a pause before.
func (w work) since(before work, pause time.Duration) bool {
	return w.procs != before.procs || w.io != before.io || w.cpu-before.cpu > max(pause*idleCPU/100, 2*clockTick)
}
