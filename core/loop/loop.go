// Package loop has what background loops share: wake-ups, waits on the clock that end
// with the context, random spreading, pauses by key, and doubling pauses.
package loop

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
)

// Signal wakes up one loop. Signals that come while one waits are one. Make one with
// [NewSignal].
type Signal chan struct{}

// NewSignal returns a signal.
func NewSignal() Signal { return make(Signal, 1) }

// Set wakes the loop up, now or when it waits next. It never blocks.
func (s Signal) Set() {
	select {
	case s <- struct{}{}:
	default: // one waits already
	}
}

// Sleep waits for a time, or until a signal is set; a nil signal never is. It reports
// false if ctx has ended.
func Sleep(ctx context.Context, clock core.Clock, d time.Duration, wake <-chan struct{}) bool {
	if ctx.Err() != nil {
		return false
	}
	return wait(ctx, clock.After(d), wake)
}

// SleepUntil is [Sleep] until a point in time; the zero time is without limit.
func SleepUntil(ctx context.Context, clock core.Clock, at time.Time, wake <-chan struct{}) bool {
	var timer <-chan time.Time
	if !at.IsZero() {
		d := at.Sub(clock.Now())
		if d <= 0 {
			return ctx.Err() == nil // the time came meanwhile
		}
		timer = clock.After(d)
		if !clock.Now().Before(at) {
			return ctx.Err() == nil // the clock was set meanwhile, and the timer counts from there
		}
	}
	return wait(ctx, timer, wake)
}

func wait(ctx context.Context, timer <-chan time.Time, wake <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-timer:
	}
	return true
}

// Every calls f, and again after each pause, until ctx ends.
func Every(ctx context.Context, clock core.Clock, pause time.Duration, f func(ctx context.Context)) {
	for {
		f(ctx)
		if !Sleep(ctx, clock, pause, nil) {
			return
		}
	}
}

// Later returns a pause that is longer by up to a tenth, so that what would come
// together does not. A pause of zero or less is left as it is.
func Later(d time.Duration) time.Duration {
	if d <= 0 {
		return d
	}
	return d + Within(d/10+1)
}

// Around returns a pause that is longer or shorter by up to a tenth.
func Around(d time.Duration) time.Duration { return d - d/10 + Within(d/5+1) }

// Within returns a random time from zero up to d, which is positive.
func Within(d time.Duration) time.Duration {
	return rand.N(d) //nolint:gosec // spreading needs no secrecy
}

// Doubling returns the pause after the n-th failure in a row, n from 1: first, and
// twice the last one up to limit.
func Doubling(first, limit time.Duration, n int) time.Duration {
	for ; n > 1 && first < limit; n-- {
		first *= 2
	}
	return min(first, limit)
}

// Pauses has until when something is left alone, by key, such as hosts that limit
// requests. Make one with [NewPauses]. It is safe for concurrent use.
type Pauses struct {
	clock core.Clock
	mu    sync.Mutex
	until map[string]time.Time
}

// NewPauses returns pauses, of which there is none yet.
func NewPauses(clock core.Clock) *Pauses {
	return &Pauses{clock: clock, until: map[string]time.Time{}}
}

// Set pauses the key for a time from now, in the place of the pause it has.
func (p *Pauses) Set(key string, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until[key] = p.clock.Now().Add(d)
}

// Until returns the end of the key's pause; zero: it has none.
func (p *Pauses) Until(key string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	until := p.until[key]
	if !until.After(p.clock.Now()) {
		delete(p.until, key)
		return time.Time{}
	}
	return until
}
