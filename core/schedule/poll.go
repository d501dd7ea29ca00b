package schedule

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
)

// Polling makes a copy follow its upstream whatever webhooks are lost. A look is
// one listing in this process, on a connection that is kept; one that finds the
// upstream equal to the copy costs one row of a shared transaction, and leaves
// neither a run nor an event.
//
// With "auto" the pause is a tenth of the time since the upstream was last seen to
// change, between pollMin and pollMax: what changed a minute ago is looked at every
// 15 seconds, what has been quiet for a week every 8 hours. So a change that no
// webhook announces is here within a tenth of the upstream's quiet time, plus
// jitter.

const (
	pollMin = 15 * time.Second
	pollMax = 8 * time.Hour
)

// expectSteps are the pauses between looks for an announced object id; the last
// one repeats.
var expectSteps = [...]time.Duration{1 * time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute}

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
		quiet := s.clock.Now().Sub(core.Later(state.ChangedAt, state.FirstSyncedAt))
		return min(max(quiet/10, pollMin), pollMax), true
	}
	every, err := time.ParseDuration(word)
	if err != nil {
		s.log.Warn("cannot read how often to poll; using auto", "poll", word)
		return pollMax, true
	}
	return max(every, core.MinPoll), true
}

// NextLook returns when to look next at an upstream whose state is new: for the
// open expectations, else as its polling says; zero: never. before is the state's
// PollAt when the look or run began; one that somebody has set since stays.
func (s *Service) NextLook(ctx context.Context, q core.Queries, r core.Repository, state core.SyncState, before time.Time) (time.Time, error) {
	if !state.Ready() {
		return time.Time{}, nil // its first mirror sets it
	}
	now := s.clock.Now()
	open, err := q.Expectations(ctx, r.ID)
	if err != nil {
		return time.Time{}, err
	}
	var next time.Time
	for _, e := range open {
		next = core.Sooner(next, expectAgain(e.Since, now))
	}
	settings, err := q.Settings(ctx, r.ID)
	if err != nil {
		return time.Time{}, err
	}
	if every, ok := s.interval(*r.Upstream, settings, state); ok {
		next = core.Sooner(next, now.Add(loop.Around(every)))
	}
	if !state.PollAt.Equal(before) {
		next = core.Sooner(next, state.PollAt)
	}
	return next, nil
}

// expectAgain returns when to look again for what was announced at since.
func expectAgain(since, now time.Time) time.Time {
	at := since
	for _, step := range expectSteps {
		if at = at.Add(step); at.After(now) {
			return at
		}
	}
	return now.Add(expectSteps[len(expectSteps)-1])
}

// SettingsChanged takes new settings of a repository into account at once. If they
// have it polled, it is looked at now: a user who turns polling on sees whether it
// works.
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
		if at, err = s.NextLook(ctx, q, r, state, state.PollAt); err != nil {
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
	s.Notify(Look, at)
	return err
}

// spread gives repositories that are to be polled and have no time for it a first
// one, after a start with another default. The times are spread over the whole
// interval, so that there is no burst.
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
	return q.SetPoll(ctx, id, s.clock.Now().Add(loop.Within(every)))
}
