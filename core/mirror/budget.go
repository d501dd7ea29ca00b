package mirror

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
)

const (
	// defaultPause is how long a host rests that said "slow down" and not for
	// how long.
	defaultPause = time.Minute
	// maxPause bounds what a host may ask for.
	maxPause = 24 * time.Hour

	// A host is down when this many of its repositories failed to connect in a
	// row, with no success in between. Then one contact at a time finds out
	// whether it is back, after outagePause and twice that and so on, up to
	// maxOutagePause: without it, thousands of repositories of a dead host would
	// keep its places busy with time-outs.
	downAfter      = 3
	outagePause    = 5 * time.Second
	maxOutagePause = 5 * time.Minute
)

// budget says how much may go on at each upstream host. Hosts know nothing of
// each other here, so one that limits, hangs or is down delays no other. It is
// kept in memory: after a restart the first answers teach it anew.
type budget struct {
	clock core.Clock

	mu    sync.Mutex
	hosts map[string]*host
}

// host is what goes on at one host.
type host struct {
	runs, looks int
	paused      time.Time           // nothing goes there unasked before
	down        map[string]struct{} // repositories that failed to connect since the last success, at most downAfter
	outages     int                 // pauses in a row because it was down
	unchecked   time.Time           // its API is not asked before
}

func newBudget(clock core.Clock) *budget { return &budget{clock: clock, hosts: map[string]*host{}} }

// at returns the host; b.mu is held.
func (b *budget) at(name string) *host {
	h := b.hosts[name]
	if h == nil {
		h = &host{}
		b.hosts[name] = h
	}
	return h
}

// tidy forgets a host of which there is nothing to know; b.mu is held.
func (b *budget) tidy(name string) {
	h, now := b.hosts[name], b.clock.Now()
	if h != nil && h.runs+h.looks+h.outages+len(h.down) == 0 && !h.paused.After(now) && !h.unchecked.After(now) {
		delete(b.hosts, name)
	}
}

// places divides what the operator allows at a host, or the defaults. One place
// is kept for looks, so that first mirrors, which last for hours, do not end the
// polling of all other repositories of the host; and one for runs.
type places struct{ runs, looks, all int }

func divide(limit int, o Options) places {
	if limit <= 0 {
		return places{o.HostConcurrency, o.HostConcurrency, o.HostConcurrency + 2}
	}
	return places{max(1, limit-1), max(1, limit-1), limit}
}

// enterRun takes a place for a run. A person who asks is let through a pause,
// one at a time: a single request is not what a limit is about, and a person
// wants to hear what the host says now.
func (b *budget) enterRun(name string, p places, person bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.at(name)
	defer b.tidy(name)
	if h.paused.After(b.clock.Now()) {
		if !person || h.runs > 0 {
			return false
		}
	} else if h.runs >= p.runs || h.runs+h.looks >= p.all {
		return false
	}
	h.runs++
	return true
}

// enterLook takes a place for a look.
func (b *budget) enterLook(name string, p places) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.at(name)
	defer b.tidy(name)
	if h.paused.After(b.clock.Now()) || h.looks >= p.looks || h.runs+h.looks >= p.all {
		return false
	}
	h.looks++
	return true
}

// promote turns a look into a run if there is a place for one.
func (b *budget) promote(name string, p places) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.at(name)
	if h.runs >= p.runs {
		return false
	}
	h.looks--
	h.runs++
	return true
}

// leave gives a place back.
func (b *budget) leave(name string, look bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.at(name)
	if look {
		h.looks--
	} else {
		h.runs--
	}
	b.tidy(name)
}

// pausedUntil returns when the host may be asked again; zero: now.
func (b *budget) pausedUntil(name string) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.hosts[name]; h != nil && h.paused.After(b.clock.Now()) {
		return h.paused
	}
	return time.Time{}
}

// heard takes what came of a contact with the host on behalf of a repository.
func (b *budget) heard(name, repoID string, err error) {
	class := core.ErrorClass("")
	if err != nil {
		class, _ = classify(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.at(name)
	defer b.tidy(name)
	now := b.clock.Now()
	switch class {
	case core.ClassRateLimited:
		h.rest(now.Add(pauseAfter(err)))
	case core.ClassNetwork, core.ClassTimeout:
		if h.down == nil {
			h.down = map[string]struct{}{}
		}
		if len(h.down) < downAfter {
			h.down[repoID] = struct{}{}
		}
		if len(h.down) == downAfter && !h.paused.After(now) {
			h.rest(now.Add(min(outagePause<<min(h.outages, 10), maxOutagePause)))
			h.outages++
		}
	case core.ClassInternal, core.ClassCorrupt, core.ClassResource:
		// No word about the host.
	default:
		h.down, h.outages = nil, 0
	}
}

// rest pauses the host at least until then; b.mu is held.
func (h *host) rest(until time.Time) {
	if until.After(h.paused) {
		h.paused = until
	}
}

// uncheckedUntil returns when the host's API may be asked again; zero: now.
func (b *budget) uncheckedUntil(name string) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.hosts[name]; h != nil && h.unchecked.After(b.clock.Now()) {
		return h.unchecked
	}
	return time.Time{}
}

// checked takes what came of asking the host's API: its limits are not those of
// git, so they hold up no sync.
func (b *budget) checked(name string, err error) {
	if core.KindOf(err) != core.KindRateLimited {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at(name).unchecked = b.clock.Now().Add(pauseAfter(err))
}

// pauseAfter returns for how long a host is left alone that said "slow down".
func pauseAfter(err error) time.Duration {
	pause := retryAfter(err)
	if pause <= 0 {
		pause = defaultPause
	}
	return min(pause, maxPause)
}

// afterPause returns a moment after a pause at which one of n repositories may
// come back, so that they do not do it together.
func afterPause(until time.Time, n int) time.Time {
	return until.Add(rand.N(10*time.Second + time.Duration(n)*100*time.Millisecond)) //nolint:gosec // spreading needs no secrecy
}

// postpone puts off what is due at hosts that pause, but for what a person asks
// afresh, which it returns.
func (s *Service) postpone(ctx context.Context, waiting map[string]time.Time) (asked []string, err error) {
	if len(waiting) == 0 {
		return nil, nil
	}
	err = s.store.Tx(ctx, func(q core.Queries) error {
		asked = nil
		for id, until := range waiting {
			state, err := q.SyncState(ctx, id)
			if core.KindOf(err) == core.KindNotFound {
				continue // detached meanwhile
			}
			if err != nil {
				return err
			}
			if personal(state.Trigger) && state.NextAttemptAt.IsZero() {
				asked = append(asked, id)
				continue
			}
			state.NextAttemptAt = afterPause(until, len(waiting))
			if err := q.SaveSync(ctx, state); err != nil {
				return err
			}
		}
		return nil
	})
	return asked, err
}
