package events

import (
	"time"

	"github.com/headwater-git/headwater/core/loop"
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

// nextAttempt says when a delivery that was made at created and has failed for
// the attempts-th time is tried next; zero: it is given up. The delay doubles
// from 5 s to 1 h, give or take a tenth so that deliveries which failed
// together come apart. The last try is at the end of the delivery's day.
func nextAttempt(created, now time.Time, attempts int, marked bool) time.Time {
	end := created.Add(giveUpAfter)
	if !now.Before(end) {
		return time.Time{}
	}
	delay := loop.Doubling(firstDelay, maxDelay, attempts)
	if marked {
		delay = maxDelay
	}
	next := now.Add(loop.Around(delay))
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
	return loop.Doubling(firstGap, maxGap, failures)
}
