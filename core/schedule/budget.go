package schedule

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
)

const (
	// defaultPause is the pause of a host that limits requests without saying for
	// how long.
	defaultPause = time.Minute
	// maxPause bounds the pause that a host may ask for.
	maxPause = 24 * time.Hour

	// A host is down when this many of its repositories failed to connect in a row,
	// with no success in between. Then one contact at a time finds out whether it is
	// back, after outagePause, doubling up to maxOutagePause: otherwise thousands of
	// repositories of a dead host would keep its places busy with time-outs.
	downAfter      = 3
	outagePause    = 5 * time.Second
	maxOutagePause = 5 * time.Minute
)

// host is what is known of one upstream host. It is kept in memory: after a
// restart the first answers teach it anew. Guarded by the lock of the agenda.
type host struct {
	queue   [2][]queuedItem // what is due and has not started, by kind, the longest due first
	running [2]int          // by kind
	paused  time.Time       // nothing is sent there before, except for users
	// down are the repositories that failed to connect since the last success, at
	// most downAfter.
	down    map[string]struct{}
	outages int // consecutive pauses because it was down
}

// hostOf returns the host; a.mu is held.
func (a *agenda) hostOf(name string) *host {
	h := a.hosts[name]
	if h == nil {
		h = &host{}
		a.hosts[name] = h
	}
	return h
}

// tidy forgets a host of which nothing is worth knowing; a.mu is held.
func (a *agenda) tidy(name string) {
	h := a.hosts[name]
	if h == nil || h.paused.After(a.clock.Now()) {
		return
	}
	if h.running[Run]+h.running[Look]+h.outages+len(h.down)+len(h.queue[Run])+len(h.queue[Look]) == 0 {
		delete(a.hosts, name)
	}
}

// places are how many runs, looks, and both together may be under way at a host.
type places struct{ runs, looks, all int }

// divide divides what the operator allows at a host (0: the defaults). One place
// is reserved for looks and one for runs; see the package comment.
func divide(limit int, o Options) places {
	if limit <= 0 {
		return places{o.HostRuns, o.HostRuns, o.HostRuns + 2}
	}
	return places{max(1, limit-1), max(1, limit-1), limit}
}

// hasPlace reports whether the host has a place for the item. A user's request
// passes a pause, one at a time: a single request is not what a limit is about, and
// the user wants to know what the host says now.
func (h *host) hasPlace(item queuedItem, now time.Time) bool {
	if h.paused.After(now) {
		return item.UserInitiated && h.running[Run] == 0
	}
	most := item.places.runs
	if item.Kind == Look {
		most = item.places.looks
	}
	return h.running[item.Kind] < most && h.running[Run]+h.running[Look] < item.places.all
}

// PausedUntil returns until when a host is not contacted unasked, because it limits
// requests or cannot be reached; zero: it is not paused.
func (a *agenda) PausedUntil(name string) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.hosts[name]; h != nil && h.paused.After(a.clock.Now()) {
		return h.paused
	}
	return time.Time{}
}

// RateLimitedUntil returns until when a host that limits requests is left alone; zero: it
// is not. A host that cannot be reached is none.
func (a *agenda) RateLimitedUntil(name string) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.hosts[name]; h != nil && h.outages == 0 && h.paused.After(a.clock.Now()) {
		return h.paused
	}
	return time.Time{}
}

// RecordContact takes in the outcome of a contact with a host on behalf of a
// repository: the class of the failure, "" for a success, and the pause that the
// host asked for, 0 for none.
func (a *agenda) RecordContact(name, repoID string, class core.ErrorClass, hostAsked time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h := a.hostOf(name)
	defer a.tidy(name)
	now := a.clock.Now()
	switch class {
	case core.ClassRateLimited:
		a.pause(h, now.Add(PauseAfter(hostAsked)))
	case core.ClassNetwork, core.ClassTimeout:
		if h.down == nil {
			h.down = map[string]struct{}{}
		}
		if len(h.down) < downAfter {
			h.down[repoID] = struct{}{}
		}
		if len(h.down) == downAfter && !h.paused.After(now) {
			a.pause(h, now.Add(min(outagePause<<min(h.outages, 10), maxOutagePause)))
			h.outages++
		}
	case core.ClassInternal, core.ClassCorrupt, core.ClassResource:
		// Tells nothing about the host.
	default:
		h.down, h.outages = nil, 0
	}
}

// pause pauses the host at least until then; a.mu is held.
func (a *agenda) pause(h *host, until time.Time) {
	if until.After(h.paused) {
		h.paused = until
		a.wakeUp() // its queue is postponed
	}
}

// PauseAfter returns how long a host is left alone that limits requests and asks
// for a pause, 0 if it does not say how long.
func PauseAfter(hostAsked time.Duration) time.Duration {
	if hostAsked <= 0 {
		return defaultPause
	}
	return min(hostAsked, maxPause)
}

// postponement is an item that waits for the end of its host's pause.
type postponement struct {
	Item
	until time.Time
}

// postpone writes that items are due after the pauses of their hosts, spread so
// that they do not come back together.
func (s *Service) postpone(ctx context.Context, items []postponement) error {
	if len(items) == 0 {
		return nil
	}
	soonest := [2]time.Time{}
	err := s.store.Tx(ctx, func(q core.Queries) error {
		for _, p := range items {
			// At most 100 ms for each.
			at := p.until.Add(loop.Within(10*time.Second + time.Duration(len(items))*100*time.Millisecond))
			soonest[p.Kind] = core.Sooner(soonest[p.Kind], at)
			err := postponeOne(ctx, q, p.Item, at)
			if err != nil && core.KindOf(err) != core.KindNotFound { // detached meanwhile
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.Notify(Run, soonest[Run])
	s.Notify(Look, soonest[Look])
	return nil
}

func postponeOne(ctx context.Context, q core.Queries, item Item, at time.Time) error {
	if item.Kind == Look {
		return q.SetPoll(ctx, item.RepoID, at)
	}
	state, err := q.SyncState(ctx, item.RepoID)
	if err != nil {
		return err
	}
	if state.NextAttemptAt.IsZero() && UserInitiated(state.Trigger) {
		return nil // a user has asked since; the rows are read again for that
	}
	return q.PostponeSync(ctx, item.RepoID, at)
}
