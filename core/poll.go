package core

import (
	"context"
	"time"
)

// PollStore schedules looks at upstreams.
type PollStore interface {
	// DuePolls lists synced repositories that are not paused, with no work waiting, whose PollAt is
	// set and not after now, oldest first, at most limit.
	DuePolls(ctx context.Context, now time.Time, limit int) ([]DueSync, error)
	// NextPollAt returns the earliest PollAt after now; zero: none.
	NextPollAt(ctx context.Context, now time.Time) (time.Time, error)
	// SetPoll sets PollAt alone; zero ends polling.
	SetPoll(ctx context.Context, repoID string, at time.Time) error
	// Observed records a look that found the upstream equal to the copy.
	Observed(ctx context.Context, repoID string, observedAt, pollAt time.Time) error
	// Unobserve takes ObservedAt back to since, if it is later: what was seen in between
	// was not the upstream.
	Unobserve(ctx context.Context, repoID string, since time.Time) error
	// UnpolledRepositories lists synced repositories with a zero PollAt, ids
	// above after, in order: for a start with another default.
	UnpolledRepositories(ctx context.Context, after string, limit int) ([]string, error)
}
