package mirror

import (
	"context"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
)

// polls is what the poller knows. Its fields are guarded by the service's mutex.
type polls struct {
	wake    chan struct{}
	scanAt  time.Time           // when the store is asked next what is due; zero: when told
	scanned time.Time           // when it was last
	known   map[string]struct{} // due ones that are queued, under way, or not written yet
	queue   map[string][]string // of them, those that wait, by host, the longest due first
}

// pollBy has the store asked for due polls at a time, if that is sooner than
// planned. A zero time is never.
func (s *Service) pollBy(at time.Time) {
	if at.IsZero() {
		return
	}
	s.mu.Lock()
	soon := s.polls.scanAt.IsZero() || at.Before(s.polls.scanAt)
	if soon {
		s.polls.scanAt = at
	}
	s.mu.Unlock()
	if soon {
		s.pokePolls()
	}
}

func (s *Service) pokePolls() {
	select {
	case s.polls.wake <- struct{}{}:
	default:
	}
}

// poll looks at upstreams when they are due, until ctx ends and all looks have.
func (s *Service) poll(ctx context.Context) {
	var looks, writer sync.WaitGroup
	stop := make(chan struct{})
	writer.Go(func() { s.writeSeen(context.WithoutCancel(ctx), stop) })
	defer func() {
		looks.Wait()
		close(stop)
		writer.Wait()
	}()
	if err := s.spread(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("some repositories are not polled before the next start", "error", err)
	}
	s.pollBy(s.clock.Now())
	for {
		next, err := s.startLooks(ctx, &looks)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			s.log.Error("cannot look for due polls; trying again", "error", err)
			next = s.clock.Now().Add(storePause)
			s.pollBy(next)
		}
		if !s.sleep(ctx, next, s.polls.wake) {
			return
		}
	}
}

// startLooks starts what is due and has a place, and returns when the store has
// to be asked again.
func (s *Service) startLooks(ctx context.Context, looks *sync.WaitGroup) (time.Time, error) {
	now := s.clock.Now()
	s.mu.Lock()
	at := s.polls.scanTime()
	due := !at.IsZero() && !at.After(now)
	if due {
		s.polls.scanAt, s.polls.scanned = time.Time{}, now
	}
	s.mu.Unlock()
	if due {
		if err := s.scan(ctx, now); err != nil {
			return time.Time{}, err
		}
	}
	for _, host := range s.waitingHosts() {
		if until := s.budget.pausedUntil(host); !until.IsZero() {
			if err := s.putOff(ctx, host, until); err != nil {
				return time.Time{}, err
			}
			continue
		}
		for {
			r, ok, err := s.boardNext(ctx, host)
			if err != nil {
				return time.Time{}, err
			}
			if !ok {
				break
			}
			looks.Go(func() {
				s.look(ctx, s.linked(ctx, r))
				s.pokePolls()
				s.mu.Lock()
				crowded := s.crowded
				s.mu.Unlock()
				if crowded {
					s.poke() // a run waits for the place
				}
			})
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.polls.scanTime(), nil
}

// scanTime returns when the store is to be read next. While repositories wait
// there is enough to do, and it is not read again for each that comes to it.
func (p *polls) scanTime() time.Time {
	if p.scanAt.IsZero() || len(p.queue) == 0 {
		return p.scanAt
	}
	return later(p.scanAt, p.scanned.Add(scanPause))
}

// scan takes what is due from the store into the queue.
func (s *Service) scan(ctx context.Context, now time.Time) error {
	s.mu.Lock()
	have := len(s.polls.known)
	s.mu.Unlock()
	limit := min(have+refill, maxDue)
	ids, err := s.store.DuePolls(ctx, now, limit)
	if err != nil {
		return err
	}
	for _, id := range ids {
		s.mu.Lock()
		_, known := s.polls.known[id]
		s.mu.Unlock()
		if known {
			continue
		}
		r, err := s.store.RepositoryByID(ctx, id)
		if core.KindOf(err) == core.KindNotFound || err == nil && r.Upstream == nil {
			continue
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.polls.known[id] = struct{}{}
		s.polls.queue[r.Upstream.Host] = append(s.polls.queue[r.Upstream.Host], id)
		s.mu.Unlock()
	}
	next := now.Add(time.Second) // the rest, when there is room for it
	if len(ids) < limit {
		if next, err = s.store.NextPollAt(ctx, now); err != nil {
			return err
		}
	}
	s.pollBy(next)
	return nil
}

// waitingHosts returns the hosts that have repositories in the queue, in an
// order that is another each time: none is always first.
func (s *Service) waitingHosts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	hosts := make([]string, 0, len(s.polls.queue))
	for host := range s.polls.queue {
		hosts = append(hosts, host)
	}
	return hosts
}

// putOff has the queue of a host that pauses come back after the pause.
func (s *Service) putOff(ctx context.Context, host string, until time.Time) error {
	s.mu.Lock()
	ids := s.polls.queue[host]
	delete(s.polls.queue, host)
	s.mu.Unlock()
	err := s.store.Tx(ctx, func(q core.Queries) error {
		for _, id := range ids {
			if err := q.SetPoll(ctx, id, afterPause(until, len(ids))); err != nil && core.KindOf(err) != core.KindNotFound {
				return err
			}
		}
		return nil
	})
	s.mu.Lock()
	for _, id := range ids {
		delete(s.polls.known, id)
	}
	s.mu.Unlock()
	s.pollBy(until)
	return err
}

// boardNext registers a look at the next repository of a host's queue. It is
// false if the queue is empty or there is no place.
func (s *Service) boardNext(ctx context.Context, host string) (core.Repository, bool, error) {
	for {
		s.mu.Lock()
		queue := s.polls.queue[host]
		full := s.looks >= s.o.Looks
		s.mu.Unlock()
		if len(queue) == 0 || full {
			return core.Repository{}, false, nil
		}
		r, err := s.store.RepositoryByID(ctx, queue[0])
		if core.KindOf(err) == core.KindNotFound || err == nil && r.Upstream == nil {
			s.unqueue(host, false)
			continue
		}
		if err != nil {
			return core.Repository{}, false, err
		}
		boarded, busy := s.boardLook(r)
		switch {
		case boarded:
			s.unqueue(host, true)
			return r, true, nil
		case !busy:
			return core.Repository{}, false, nil
		}
		// A run is at it, and sets the time of the next look.
		s.unqueue(host, false)
		s.pollBy(s.clock.Now().Add(time.Second))
	}
}

// unqueue takes the first of a host's queue out. With under it is under way, and
// not due anew before it was written.
func (s *Service) unqueue(host string, under bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue := s.polls.queue[host]
	if !under {
		delete(s.polls.known, queue[0])
	}
	if queue = queue[1:]; len(queue) == 0 {
		delete(s.polls.queue, host)
	} else {
		s.polls.queue[host] = queue
	}
}

// boardLook registers the flight of a look if its host has a place for one.
// busy: the repository is in the air already, or has to stay on the ground.
func (s *Service) boardLook(r core.Repository) (boarded, busy bool) {
	host := r.Upstream.Host
	if !s.budget.enterLook(host, divide(s.up.Limit(*r.Upstream), s.o)) {
		return false, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights[r.ID] != nil || s.halted[r.ID] > 0 {
		s.budget.leave(host, true)
		return false, true
	}
	s.looks++
	s.flights[r.ID] = &flight{host: host, look: true, landed: make(chan struct{})}
	return true, false
}
