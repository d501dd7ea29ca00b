package discovery

import (
	"io"
	"sync/atomic"
	"time"
)

// stallTimer ends an operation in which the host has not moved enough bytes for some
// time. Its methods may be called side by side: a request's body is read while its
// answer comes in.
type stallTimer struct {
	timer   *time.Timer
	limit   time.Duration
	least   int64        // bytes that put the timer off, so that a host that trickles is ended, too
	since   atomic.Int64 // bytes since it was last put off
	waiting atomic.Bool  // for this machine, not for the host
}

// newStallTimer returns a timer that runs, and calls end when the host has moved fewer
// than least bytes within the limit.
func newStallTimer(limit time.Duration, least int64, end func()) *stallTimer {
	s := &stallTimer{limit: limit, least: least}
	armed := make(chan struct{})
	s.timer = time.AfterFunc(limit, func() {
		<-armed
		if s.waiting.Load() {
			s.restart()
			return
		}
		end()
	})
	close(armed)
	return s
}

// restart puts the timer off: a new answer is awaited.
func (s *stallTimer) restart() {
	s.since.Store(0)
	s.timer.Reset(s.limit)
}

// moved counts bytes that came from the host.
func (s *stallTimer) moved(n int64) {
	if s.since.Add(n) >= s.least {
		s.restart()
	}
}

func (s *stallTimer) stop() { s.timer.Stop() }

// timedBody is a request's body, of which every read shows that the host took the
// last. While this machine makes what comes next, the host is not waited for.
type timedBody struct {
	stall *stallTimer
	r     io.Reader
}

// Read reads from the body.
func (b *timedBody) Read(p []byte) (int, error) {
	b.stall.restart()
	b.stall.waiting.Store(true)
	n, err := b.r.Read(p)
	b.stall.waiting.Store(false)
	b.stall.restart()
	return n, err
}
