package coretest

import (
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
)

// start is where a [Clock] begins.
var start = time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC)

// Clock is a clock that stands still until a test moves it.
type Clock struct {
	mu      sync.Mutex
	now     time.Time
	timers  map[chan time.Time]time.Time
	changed chan struct{} // closed and replaced when a timer is set
}

var _ core.Clock = (*Clock)(nil)

// NewClock returns a clock that stands at a fixed time.
func NewClock() *Clock {
	return &Clock{now: start, timers: map[chan time.Time]time.Time{}, changed: make(chan struct{})}
}

// Now implements [core.Clock].
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// After implements [core.Clock].
func (c *Clock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan time.Time, 1)
	if d <= 0 {
		ch <- c.now
		return ch
	}
	c.timers[ch] = c.now.Add(d)
	close(c.changed)
	c.changed = make(chan struct{})
	return ch
}

// Advance moves the clock and fires the timers that are due.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	for ch, at := range c.timers {
		if !at.After(c.now) {
			ch <- c.now
			delete(c.timers, ch)
		}
	}
}

// Timers returns how many timers wait, and a channel that is closed when
// another one is set.
func (c *Clock) Timers() (n int, more <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers), c.changed
}

// Await waits until a timer is set that ends so long from now, whatever others there are.
func (c *Clock) Await(d time.Duration) {
	for {
		c.mu.Lock()
		set, more := false, c.changed
		for _, at := range c.timers {
			set = set || at.Equal(c.now.Add(d))
		}
		c.mu.Unlock()
		if set {
			return
		}
		<-more
	}
}
