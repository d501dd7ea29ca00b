package events

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
)

const (
	// recordBatch is how many results one transaction records at most.
	recordBatch = 256
	// lookTick is how often due deliveries are looked for unasked.
	lookTick = time.Minute
	// lastWords is how long results may still be recorded after the end.
	lastWords = 5 * time.Second
)

// sender sends due deliveries. One goroutine, that of run, owns its state,
// chooses what to send and records what came of it; workers only send.
type sender struct {
	store  Store
	clock  core.Clock
	log    hclog.Logger
	client *client

	workers int // requests in flight at most
	slots   int // of them to one webhook

	tried func(Try) // nil: nobody counts

	wake loop.Signal
	done chan result // has room for every worker

	running int
	failing int                 // of running: to webhooks that are failing
	started map[string]struct{} // ids of the deliveries in flight
	lanes   map[string]*lane    // by webhook

	mu      sync.Mutex
	hurried map[string]struct{} // webhooks whose past failures no longer count
}

// lane is what is known of one webhook while it has requests in flight or has
// failed.
type lane struct {
	running   int
	failures  int       // attempts that failed in a row, since the start of the process
	failing   bool      // the last attempt failed
	notBefore time.Time // no attempt before
	warnedAt  time.Time // last log line that it is marked
}

// result is a finished attempt.
type result struct {
	webhook  core.Webhook
	delivery core.Delivery
	outcome  outcome
	failing  bool // counted as such
	expired  bool // no attempt was made
}

func newSender(o Options) *sender {
	return &sender{
		store: o.Store, clock: o.Clock, log: o.Logger, client: newClient(o), workers: o.Workers, slots: o.Slots, tried: o.Tried,
		wake: loop.NewSignal(), done: make(chan result, o.Workers),
		started: map[string]struct{}{}, lanes: map[string]*lane{}, hurried: map[string]struct{}{},
	}
}

// poke makes the sender look for due deliveries.
func (s *sender) poke() { s.wake.Set() }

// hurry forgets that attempts of the webhook have failed: a person has changed
// it, or asks for an attempt.
func (s *sender) hurry(webhookID string) {
	s.mu.Lock()
	s.hurried[webhookID] = struct{}{}
	s.mu.Unlock()
	s.poke()
}

// run sends until ctx ends and its workers have stopped.
func (s *sender) run(ctx context.Context) error {
	defer s.client.close()
	var workers sync.WaitGroup
	defer func() {
		workers.Wait()
		s.finish(ctx)
	}()
	for {
		next, err := s.fill(ctx, &workers)
		if ctx.Err() != nil {
			return nil
		}
		wait := lookTick
		if err != nil {
			s.log.Error("cannot look for due deliveries; trying again", "error", err)
			wait = retryDelay
		} else if !next.IsZero() {
			wait = min(wait, max(next.Sub(s.clock.Now()), time.Millisecond))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case r := <-s.done:
			s.settle(ctx, s.gather(r))
		case <-s.clock.After(wait):
		}
	}
}

// gather returns r with the results that have come in besides.
func (s *sender) gather(r result) []result {
	batch := []result{r}
	for len(batch) < recordBatch {
		select {
		case more := <-s.done:
			batch = append(batch, more)
		default:
			return batch
		}
	}
	return batch
}

// finish records what came in after the end. Attempts that the end cut short
// leave no trace: they are made again.
func (s *sender) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	for {
		select {
		case r := <-s.done:
			batch := s.gather(r)
			if err := s.record(ctx, batch); err != nil {
				s.log.Warn("deliveries that were made are repeated after the next start", "deliveries", len(batch), "error", err)
				return
			}
		default:
			return
		}
	}
}

// settle records results and frees their slots. It goes on until the store
// takes them: sending more, whose results could not be recorded either, would
// only repeat requests.
func (s *sender) settle(ctx context.Context, batch []result) {
	for {
		err := s.record(ctx, batch)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			// Back to where finish finds them. There is room: each has left it.
			for _, r := range batch {
				s.done <- r
			}
			return
		}
		s.log.Error("cannot record deliveries; trying again", "deliveries", len(batch), "error", err)
		loop.Sleep(ctx, s.clock, retryDelay, nil)
	}
	for _, r := range batch {
		s.release(r)
	}
}

// release frees the slot of a result and notes how its webhook is doing.
func (s *sender) release(r result) {
	s.running--
	if r.failing {
		s.failing--
	}
	delete(s.started, r.delivery.ID)
	l := s.lanes[r.webhook.ID]
	l.running--
	now := s.clock.Now()
	switch {
	case r.expired:
	case r.outcome.failure == "":
		l.failing, l.failures, l.notBefore = false, 0, time.Time{}
	default:
		l.failing = true
		l.failures++
		marked := isMarked(r.webhook, now)
		l.notBefore = now.Add(gap(l.failures, marked))
		if marked && now.Sub(l.warnedAt) >= warnEvery {
			l.warnedAt = now
			s.log.Warn("a webhook has been failing for days; its deliveries are tried slowly, and its owner should look at it or delete it",
				"webhook_id", r.webhook.ID, "org", r.webhook.Org, "failing_since", r.webhook.FailingSince, "error", r.outcome.failure)
		}
	}
	s.forget(r.webhook.ID, l)
}

// forget drops a lane that holds nothing.
func (s *sender) forget(webhookID string, l *lane) {
	if l.running == 0 && !l.failing {
		delete(s.lanes, webhookID)
	}
}

// isMarked reports whether a webhook has failed for so long that it is marked.
func isMarked(w core.Webhook, now time.Time) bool {
	return !w.FailingSince.IsZero() && now.Sub(w.FailingSince) >= markAfter
}

// fill starts what is due and may start, and returns when to look again.
func (s *sender) fill(ctx context.Context, workers *sync.WaitGroup) (time.Time, error) {
	s.takeHurried()
	now := s.clock.Now()
	webhooks := map[string]core.Webhook{} // read once in a look, so that changes count at the next
	for s.running < s.workers {
		// As many as are in flight already may come first.
		limit := s.workers + s.running
		due, err := s.store.DueDeliveries(ctx, now, s.blocked(now), limit)
		if err != nil {
			return time.Time{}, err
		}
		started := 0
		for _, d := range due {
			if _, running := s.started[d.ID]; running || s.running == s.workers {
				continue
			}
			w, ok := webhooks[d.WebhookID]
			if !ok {
				w, err = s.store.WebhookByID(ctx, d.WebhookID)
				if core.KindOf(err) == core.KindNotFound {
					continue // deleted just now, and its deliveries with it
				}
				if err != nil {
					return time.Time{}, err
				}
				webhooks[w.ID] = w
			}
			if s.start(ctx, workers, w, d, now) {
				started++
			}
		}
		if started == 0 || len(due) < limit {
			break
		}
	}
	return s.next(ctx, now)
}

// next returns when something is due that is not now: a delivery, or a webhook
// that is left alone. What waits for a slot is looked at when one gets free.
func (s *sender) next(ctx context.Context, now time.Time) (time.Time, error) {
	next, err := s.store.NextDeliveryAt(ctx, now)
	if err != nil {
		return time.Time{}, err
	}
	for _, l := range s.lanes {
		if l.notBefore.After(now) && l.running == 0 && (next.IsZero() || l.notBefore.Before(next)) {
			next = l.notBefore
		}
	}
	return next, nil
}

// takeHurried gives the webhooks that a person asked for a fresh start.
func (s *sender) takeHurried() {
	s.mu.Lock()
	hurried := s.hurried
	s.hurried = map[string]struct{}{}
	s.mu.Unlock()
	for id := range hurried {
		if l := s.lanes[id]; l != nil {
			l.failing, l.failures, l.notBefore = false, 0, time.Time{}
			s.forget(id, l)
		}
	}
}

// blocked lists the webhooks to which nothing may be sent at the moment.
func (s *sender) blocked(now time.Time) []string {
	var ids []string
	for id, l := range s.lanes {
		if !s.free(l, now) {
			ids = append(ids, id)
		}
	}
	return ids
}

// free reports whether a lane takes one more request.
func (s *sender) free(l *lane, now time.Time) bool {
	if l.failing {
		return l.running == 0 && !l.notBefore.After(now) && s.failing < max(s.workers/2, 1)
	}
	return l.running < s.slots
}

// start sends one delivery if its webhook may be sent to.
func (s *sender) start(ctx context.Context, workers *sync.WaitGroup, w core.Webhook, d core.Delivery, now time.Time) bool {
	l := s.lanes[w.ID]
	if l == nil {
		l = &lane{failing: !w.FailingSince.IsZero()}
		s.lanes[w.ID] = l
	}
	if !s.free(l, now) {
		return false
	}
	r := result{webhook: w, delivery: d, failing: l.failing}
	s.started[d.ID] = struct{}{}
	s.running++
	l.running++
	if r.failing {
		s.failing++
	}
	if l.failing && now.Sub(d.CreatedAt) >= expireAfter && isMarked(w, now) {
		r.expired = true
		r.outcome = outcome{at: now, failure: "not sent: it waited for a week while the receiver failed"}
		s.done <- r
		return true
	}
	workers.Go(func() {
		r.outcome = s.client.send(ctx, w, d)
		if r.outcome.failure != "" && ctx.Err() != nil {
			return // not the receiver's failure
		}
		if s.tried != nil {
			s.tried(Try{Status: r.outcome.status, OK: r.outcome.failure == "", Took: r.outcome.duration})
		}
		s.done <- r
	})
	return true
}
