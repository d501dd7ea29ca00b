package events

import (
	"math/rand/v2"
	"time"
)

const (
	firstDelay = 5 * time.Second
	maxDelay   = time.Hour
	// giveUpAfter is how long a delivery is tried, from its making on.
	giveUpAfter = 24 * time.Hour
	// markAfter is how long a webhook must have failed to be marked.
	markAfter = 72 * time.Hour
	// expireAfter is how old a delivery of a failing webhook may get untried.
	expireAfter = 7 * 24 * time.Hour
	// warnEvery is how often the log tells of a webhook that is marked.
	warnEvery = 24 * time.Hour

	// The distance between attempts of a failing webhook, of all its
	// repositories together, grows to maxGap; that of a marked one is markedGap.
	firstGap  = 500 * time.Millisecond
	maxGap    = 30 * time.Second
	markedGap = 5 * time.Minute
)

// doubled returns first, doubled n times, at most top.
func doubled(first, top time.Duration, n int) time.Duration {
	d := first
	for ; n > 0 && d < top; n-- {
		d *= 2
	}
	return min(d, top)
}

// nextAttempt says when a delivery that was made at created and has failed for
// the attempts-th time is tried next; zero: it is given up. The delay doubles
// from 5 s to 1 h, give or take a tenth so that deliveries which failed
// together come apart. The last try is at the end of the delivery's day.
func nextAttempt(created, now time.Time, attempts int, marked bool) time.Time {
	end := created.Add(giveUpAfter)
	if !now.Before(end) {
		return time.Time{}
	}
	delay := doubled(firstDelay, maxDelay, attempts-1)
	if marked {
		delay = maxDelay
	}
	delay += time.Duration((rand.Float64() - 0.5) * 0.2 * float64(delay)) //nolint:gosec // spreads retries, protects nothing
	next := now.Add(delay)
	if next.After(end) {
		return end
	}
	return next
}

// gap is how long a webhook is left alone after the failures-th failure in a
// row.
func gap(failures int, marked bool) time.Duration {
	if marked {
		return markedGap
	}
	return doubled(firstGap, maxGap, failures-1)
}
