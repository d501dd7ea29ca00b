package mirror

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/headwater-git/headwater/core"
)

// Polling is what makes a copy follow its upstream whatever webhooks are lost.
// A look is one listing in this process, on a kept connection; one that finds
// the upstream equal to the copy costs one row of a shared transaction, and
// leaves neither a run nor an event.
//
// With "auto" the pause is a tenth of the time since the upstream was last seen
// to change, between pollMin and pollMax: what changed a minute ago is looked at
// every 15 seconds, what rested for a week every 8 hours. So a change that no
// webhook announces is here within a tenth of the time for which the upstream
// had rested, and the jitter.

const (
	pollMin = 15 * time.Second
	pollMax = 8 * time.Hour

	// lookLimit bounds one look: a host that hangs must not keep its place for
	// as long as a run may.
	lookLimit = 30 * time.Second
	// missedAfter is how long a webhook counts as the announcement of what a poll
	// finds: a host may tell of a change some time before it lists it.
	missedAfter = time.Minute
	// refill is how many due repositories are taken at a time.
	refill = 2000
	// scanPause keeps the looks for due repositories apart while some wait.
	scanPause = 200 * time.Millisecond
)

// interval returns how often the upstream is looked at unasked; false: never.
func (s *Service) interval(up core.Upstream, settings core.Settings, state core.SyncState) (time.Duration, bool) {
	word := settings.Poll
	if word == "" {
		word = s.up.Poll(up)
	}
	switch word {
	case core.PollOff:
		return 0, false
	case core.PollAuto:
		quiet := s.clock.Now().Sub(later(state.ChangedAt, state.FirstSyncedAt))
		return min(max(quiet/10, pollMin), pollMax), true
	}
	every, err := time.ParseDuration(word)
	if err != nil {
		s.log.Warn("cannot read how often to poll; using auto", "poll", word)
		return pollMax, true
	}
	return max(every, core.MinPoll), true
}

// jitter moves a pause by up to a tenth, so that repositories that were polled
// together do not stay together.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1) //nolint:gosec // spreading needs no secrecy
}

// nextLook returns when to look next at an upstream whose state is new: for what
// was announced and is not settled, else as its polling has it. before is the
// time of the look as it was when this one began; one that somebody has set
// since stays.
func (s *Service) nextLook(ctx context.Context, q core.Queries, r core.Repository, state core.SyncState, before time.Time, settled []core.Expectation) (time.Time, error) {
	now := s.clock.Now()
	next, err := unexpect(ctx, q, r.ID, settled, now)
	if err != nil || !state.Ready() {
		return time.Time{}, err
	}
	settings, err := q.Settings(ctx, r.ID)
	if err != nil {
		return time.Time{}, err
	}
	if every, ok := s.interval(*r.Upstream, settings, state); ok {
		next = sooner(next, now.Add(jitter(every)))
	}
	if !state.PollAt.Equal(before) {
		next = sooner(next, state.PollAt)
	}
	return next, nil
}

// SettingsChanged takes new settings of a repository into account at once. If
// they have it polled, it is looked at now: whoever switches that on sees
// whether it works.
func (s *Service) SettingsChanged(ctx context.Context, repoID string) error {
	r, err := s.store.RepositoryByID(ctx, repoID)
	if err != nil || r.Upstream == nil {
		return err
	}
	var at time.Time
	err = s.store.Tx(ctx, func(q core.Queries) error {
		state, err := q.SyncState(ctx, repoID)
		if err != nil {
			return err
		}
		if at, err = s.nextLook(ctx, q, r, state, state.PollAt, nil); err != nil {
			return err
		}
		if !at.IsZero() {
			at = s.clock.Now()
		}
		return q.SetPoll(ctx, repoID, at)
	})
	if core.KindOf(err) == core.KindNotFound {
		return nil // detached meanwhile
	}
	s.pollBy(at)
	return err
}

// spread gives repositories that are to be polled, and are not, their first
// time: after a start with another default. All of an interval is used, so that
// there is no burst.
func (s *Service) spread(ctx context.Context) error {
	for after := ""; ; {
		ids, err := s.store.UnpolledRepositories(ctx, after, refill)
		if err != nil || len(ids) == 0 {
			return err
		}
		after = ids[len(ids)-1]
		err = s.store.Tx(ctx, func(q core.Queries) error {
			for _, id := range ids {
				if err := s.spreadOne(ctx, q, id); err != nil && core.KindOf(err) != core.KindNotFound {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

func (s *Service) spreadOne(ctx context.Context, q core.Queries, id string) error {
	r, err := q.RepositoryByID(ctx, id)
	if err != nil || r.Upstream == nil {
		return err
	}
	state, err := q.SyncState(ctx, id)
	if err != nil || !state.Ready() {
		return err
	}
	settings, err := q.Settings(ctx, id)
	if err != nil {
		return err
	}
	every, ok := s.interval(*r.Upstream, settings, state)
	if !ok {
		return nil
	}
	return q.SetPoll(ctx, id, s.clock.Now().Add(rand.N(every))) //nolint:gosec // spreading needs no secrecy
}
