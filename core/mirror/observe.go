package mirror

import (
	"context"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
	"github.com/headwater-git/headwater/core/schedule"
)

// gatherPause is how long the first look waits for others to be recorded with it.
// It is the disk's time and not the clock's: nothing else waits for it.
const gatherPause = 100 * time.Millisecond

// observation is a look that found the upstream equal to the copy.
type observation struct {
	repo    core.Repository
	at      time.Time // just before the question
	pollAt  time.Time // as it was when the look began
	settled []core.Expectation
	partly  bool // sessions have what differs: the copy is not confirmed
}

// observations are those that wait to be written: all that came while the last ones
// were, in one transaction, so that thousands of looks a minute do not each wait for the
// disk. It is safe for concurrent use.
type observations struct {
	wake    loop.Signal
	mu      sync.Mutex
	waiting []observation
}

// add queues an observation.
func (w *observations) add(o observation) {
	w.mu.Lock()
	w.waiting = append(w.waiting, o)
	w.mu.Unlock()
	w.wake.Set()
}

// take returns what waits.
func (w *observations) take() []observation {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.waiting
	w.waiting = nil
	return all
}

// lookLimit bounds one look: a host that hangs must not keep its place for as long
// as a run may.
const lookLimit = 30 * time.Second

// missedAfter is how long a webhook counts as the announcement of what a poll
// finds: a host may tell of a change some time before it lists it.
const missedAfter = time.Minute

// Look implements [schedule.Worker]: it looks at an upstream unasked. A look that
// finds a difference, that cannot list, or whose host is to be asked about the
// upstream anyway becomes a run, which goes on with the look's listing.
func (s *Service) Look(ctx context.Context, item schedule.Item, promote func() bool) schedule.Result {
	r, err := s.linked(ctx, item.RepoID)
	if err != nil || r.Upstream == nil {
		if err != nil && ctx.Err() == nil {
			s.log.Error("cannot look at an upstream", "repo_id", item.RepoID, "error", err)
			s.holdOff(ctx)
		}
		return schedule.Result{}
	}
	q, o, err := s.lookAt(ctx, r, promote)
	switch {
	case q != nil:
		defer q.Watch.Close()
		defer s.running.start(r.ID)()
		return s.execute(ctx, *q)
	case o != nil:
		s.observations.add(*o)
		return schedule.Result{Unrecorded: true}
	case err != nil && ctx.Err() == nil:
		s.log.Error("cannot look at an upstream", "repo_id", r.ID, "error", err)
		s.holdOff(ctx)
	}
	return schedule.Result{}
}

// lookAt returns the run that a look leads to, or what it observed. Neither of
// them: there is a run already that begins anew, or an error.
func (s *Service) lookAt(ctx context.Context, r core.Repository, promote func() bool) (*Request, *observation, error) {
	watch := s.repos.Watch(r.ID) // before the state is read; see Run
	promoted := false
	defer func() {
		if !promoted {
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
	if s.rebuilding(r) {
		// There is nothing to compare with; a run begins when there may be.
		return nil, nil, s.store.SetPoll(ctx, r.ID, s.clock.Now().Add(blockedPause))
	}
	open, before, err := s.expected(ctx, r.ID)
	if err != nil {
		return nil, nil, err
	}
	asking, cancel := context.WithTimeout(ctx, lookLimit)
	l := s.listFor(asking, r, "")
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
	if same && !s.monitor.CheckDue(r.ID) {
		s.sessions.await(r.ID, c.inFlight)
		return nil, &observation{repo: r, at: l.at, pollAt: state.PollAt, settled: s.settle(ctx, r.ID, open, l.adv.Refs, before), partly: partly}, nil
	}
	trigger := schedule.TriggerPoll
	if len(open) > 0 || s.announced(ctx, r.ID, state.ObservedAt) {
		trigger = schedule.TriggerWebhook
	} else if l.err == nil && !same {
		s.noteMissed(ctx, r.ID)
	}
	gen, err := s.store.RequestSync(ctx, r.ID, trigger, "")
	if err != nil || gen != state.Wanted+1 || !promote() {
		// Somebody asked during the look: that run needs a listing of its own.
		s.schedule.Notify(schedule.Run, s.clock.Now())
		return nil, nil, err
	}
	taken, err := s.store.TakeSync(ctx, r.ID)
	if err != nil {
		return nil, nil, err
	}
	promoted = true
	q := &Request{Repo: r, State: taken, Watch: watch}
	if taken.Wanted == gen {
		q.listing = l
	}
	return q, nil, nil
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
			s.missed()
		}
	}
	if err != nil && core.KindOf(err) != core.KindNotFound {
		s.log.Warn("cannot note that a webhook was missed", "repo_id", repoID, "error", err)
	}
}

// writeObservations writes observations until stop is closed and none is left.
func (s *Service) writeObservations(ctx context.Context, stop <-chan struct{}) {
	for last := false; !last; {
		select {
		case <-s.observations.wake:
			// More come within a moment where there are many, and each
			// transaction writes pages of its own.
			select {
			case <-time.After(gatherPause): //nolint:forbidigo // gathers writes, and decides nothing
			case <-stop:
				last = true
			}
		case <-stop:
			last = true
		}
		all := s.observations.take()
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
		ids := make([]string, len(all))
		for i, o := range all {
			ids[i] = o.repo.ID
		}
		s.schedule.Recorded(ids, next)
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
			if core.KindOf(err) == core.KindNotFound {
				continue // deleted meanwhile
			}
			if err != nil {
				return err
			}
			if r.Upstream == nil || r.Upstream.URL != o.repo.Upstream.URL {
				continue
			}
			if err := unexpect(ctx, q, o.repo.ID, o.settled); err != nil {
				return err
			}
			at, err := s.schedule.NextLook(ctx, q, o.repo, state, o.pollAt)
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
			next = core.Sooner(next, at)
		}
		return nil
	})
	return next, err
}
