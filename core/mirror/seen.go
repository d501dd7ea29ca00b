package mirror

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
)

// seenPause is how long the first look waits for others to be recorded with it.
// It is the disk's time and not the clock's: nothing else waits for it.
const seenPause = 100 * time.Millisecond

// observation is a look that found the upstream equal to the copy.
type observation struct {
	repo    core.Repository
	at      time.Time // just before the question
	pollAt  time.Time // as it was when the look began
	settled []core.Expectation
	partly  bool // sessions have what differs: the copy is not confirmed
}

// seen are the observations that wait to be written: all that came while the
// last ones were, in one transaction, so that thousands of looks a minute do not
// each wait for the disk. Guarded by the service's mutex.
type seen struct {
	wake    chan struct{}
	waiting []observation
}

// look looks at an upstream unasked. One that differs from the copy, that cannot
// be listed, or whose host is to be asked about it anyway, gets a run, which
// goes on with what the look has heard.
func (s *Service) look(ctx context.Context, r core.Repository) {
	ctx, cancel := context.WithTimeout(ctx, s.o.RunTimeout)
	defer cancel()
	if !s.onBoard(r.ID, cancel) {
		cancel()
	}
	x, o, err := s.lookAt(ctx, r)
	switch {
	case x != nil:
		s.release(r.ID)
		s.travel(ctx, x) // lands
		s.poke()         // what it left to be tried again
		return
	case o != nil:
		s.noteSeen(*o) // is forgotten when it was written
	default:
		if err != nil && ctx.Err() == nil {
			s.log.Error("cannot look at an upstream", "repo_id", r.ID, "error", err)
			s.holdOff(ctx)
		}
		s.release(r.ID)
	}
	s.land(r.ID, finished{})
}

// release takes a repository out of those that the poller has.
func (s *Service) release(repoID string) {
	s.mu.Lock()
	delete(s.polls.known, repoID)
	s.mu.Unlock()
	s.pollBy(s.clock.Now().Add(time.Second))
}

// lookAt returns the run that a look leads to, or what it has seen. Neither of
// them: there is a run already that begins anew, or an error.
func (s *Service) lookAt(ctx context.Context, r core.Repository) (*run, *observation, error) {
	watch := s.repos.Watch(r.ID) // before the state is read; see fly
	boarded := false
	defer func() {
		if !boarded {
			watch.Close()
		}
	}()
	state, err := s.store.SyncState(ctx, r.ID)
	if core.KindOf(err) == core.KindNotFound {
		return nil, nil, nil // detached meanwhile
	}
	if err != nil {
		return nil, nil, err
	}
	if state.Served < state.Wanted {
		return nil, nil, nil // a run is about to begin
	}
	if !state.Ready() {
		return nil, nil, s.store.SetPoll(ctx, r.ID, time.Time{}) // its first mirror sets it
	}
	open, before, err := s.expected(ctx, r.ID)
	if err != nil {
		return nil, nil, err
	}
	asking, cancel := context.WithTimeout(ctx, lookLimit)
	l := s.ask(asking, r, "")
	cancel()
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	var c comparison
	if l.err == nil {
		if c, err = s.compare(ctx, r, l, state, watch); err != nil {
			return nil, nil, err
		}
	}
	partly := c.partly()
	same := c.same || partly
	if same && !s.checkDue(r.ID) {
		s.await(r.ID, c.inFlight)
		return nil, &observation{repo: r, at: l.at, pollAt: state.PollAt, settled: s.settle(ctx, r.ID, open, l.adv.Refs, before), partly: partly}, nil
	}
	trigger := TriggerPoll
	if len(open) > 0 || s.announced(ctx, r.ID, state.ObservedAt) {
		trigger = TriggerWebhook
	} else if l.err == nil && !same {
		s.noteMissed(ctx, r.ID)
	}
	gen, err := s.store.RequestSync(ctx, r.ID, trigger, "")
	if err != nil || gen != state.Wanted+1 || !s.promote(r) {
		// Somebody asked during the look: that one wants a listing of its own.
		s.poke()
		return nil, nil, err
	}
	taken, err := s.store.TakeSync(ctx, r.ID)
	if err != nil {
		return nil, nil, err
	}
	boarded = true
	x := s.newRun(r, taken, watch)
	if taken.Wanted == gen {
		x.heard = l
	}
	return x, nil, nil
}

// promote turns the flight of a look into that of a run, if there is a place.
func (s *Service) promote(r core.Repository) bool {
	if s.full() || !s.budget.promote(r.Upstream.Host, divide(s.up.Limit(*r.Upstream), s.o)) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flights[r.ID]
	f.look = false
	f.progress = core.Progress{Phase: firstPhase, StartedAt: core.Timestamp(s.clock.Now())}
	s.looks--
	return true
}

// announced reports whether a webhook came since a time. Not all of them name an
// id that could be expected.
func (s *Service) announced(ctx context.Context, repoID string, since time.Time) bool {
	w, err := s.store.InboundWebhook(ctx, repoID)
	return err == nil && !w.LastDeliveryAt.IsZero() && !w.LastDeliveryAt.Before(since)
}

// noteMissed records that a poll found a change which no webhook announced,
// where one was to, so that the webhook is checked at the host. If it is only
// late, it is known as the newer of the two.
func (s *Service) noteMissed(ctx context.Context, repoID string) {
	now := s.clock.Now()
	w, err := s.store.InboundWebhook(ctx, repoID)
	if err == nil && now.Sub(w.LastDeliveryAt) >= missedAfter {
		if err = s.store.NoteInbound(ctx, repoID, time.Time{}, now); err == nil {
			s.o.Missed()
		}
	}
	if err != nil && core.KindOf(err) != core.KindNotFound {
		s.log.Warn("cannot note that a webhook was missed", "repo_id", repoID, "error", err)
	}
}

func (s *Service) noteSeen(o observation) {
	s.mu.Lock()
	s.seen.waiting = append(s.seen.waiting, o)
	s.mu.Unlock()
	select {
	case s.seen.wake <- struct{}{}:
	default:
	}
}

// writeSeen writes observations until stop is closed and none is left.
func (s *Service) writeSeen(ctx context.Context, stop <-chan struct{}) {
	for last := false; !last; {
		select {
		case <-s.seen.wake:
			// More come within a moment where there are many, and each
			// transaction writes pages of its own.
			select {
			case <-time.After(seenPause):
			case <-stop:
				last = true
			}
		case <-stop:
			last = true
		}
		s.mu.Lock()
		all := s.seen.waiting
		s.seen.waiting = nil
		s.mu.Unlock()
		if len(all) == 0 {
			continue
		}
		next, err := s.writeLooks(ctx, all)
		if err != nil {
			s.log.Error("cannot record looks at upstreams; they are made again", "looks", len(all), "error", err)
			next = s.clock.Now().Add(storePause)
			if !last {
				s.rest(stop)
			}
		}
		s.mu.Lock()
		for _, o := range all {
			delete(s.polls.known, o.repo.ID)
		}
		s.mu.Unlock()
		s.pollBy(next)
	}
}

// rest waits for a while, so that looks which cannot be recorded are not made
// again and again.
func (s *Service) rest(stop <-chan struct{}) {
	select {
	case <-s.clock.After(storePause):
	case <-stop:
	}
}

// writeLooks writes observations in one transaction, and returns the soonest time
// of a next look.
func (s *Service) writeLooks(ctx context.Context, all []observation) (next time.Time, err error) {
	err = s.store.Tx(ctx, func(q core.Queries) error {
		next = time.Time{}
		for _, o := range all {
			state, err := q.SyncState(ctx, o.repo.ID)
			if core.KindOf(err) == core.KindNotFound {
				continue // detached meanwhile
			}
			if err != nil {
				return err
			}
			// Of another upstream, the look says nothing about this one.
			r, err := q.RepositoryByID(ctx, o.repo.ID)
			if err != nil {
				return err
			}
			if r.Upstream == nil || r.Upstream.URL != o.repo.Upstream.URL {
				continue
			}
			at, err := s.nextLook(ctx, q, o.repo, state, o.pollAt, o.settled)
			if err != nil {
				return err
			}
			if o.partly {
				err = q.SetPoll(ctx, o.repo.ID, at)
			} else {
				err = q.Observed(ctx, o.repo.ID, o.at, at)
			}
			if err != nil {
				return err
			}
			next = sooner(next, at)
		}
		return nil
	})
	return next, err
}
