package core

import "time"

// Clock tells the time, so that tests can move it. Implementations must be
// safe for concurrent use.
type Clock interface {
	Now() time.Time
	// After is like [time.After].
	After(d time.Duration) <-chan time.Time
}

// SystemClock is the real clock, in UTC.
type SystemClock struct{}

var _ Clock = SystemClock{}

// Now returns the current time in UTC.
func (SystemClock) Now() time.Time { return time.Now().UTC() }

// After is [time.After].
func (SystemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }
