package events

import (
	"context"
	"slices"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
)

const (
	// dispatchBatch is how many events one transaction makes deliveries of.
	dispatchBatch = 500
	// dispatchTick is how often the outbox is looked at unasked: another
	// process may write to the same database.
	dispatchTick = 15 * time.Second
	// retryDelay is how long to wait after the store has failed.
	retryDelay = 5 * time.Second
)

// dispatch follows the outbox until ctx ends.
func (s *Service) dispatch(ctx context.Context) error {
	added, stop := s.store.WatchEvents()
	defer stop()
	for {
		more, err := s.dispatchBatch(ctx)
		if ctx.Err() != nil {
			return nil
		}
		wait := dispatchTick
		if err != nil {
			s.log.Error("cannot make deliveries of events; trying again", "error", err)
			wait = retryDelay
		} else if more {
			continue
		}
		if !loop.Sleep(ctx, s.clock, wait, added) {
			return nil
		}
	}
}

// dispatchBatch makes the deliveries of the next events. More reports whether
// there may be further ones.
func (s *Service) dispatchBatch(ctx context.Context) (more bool, err error) {
	position, err := s.store.OutboxPosition(ctx)
	if err != nil {
		return false, err
	}
	events, err := s.store.Events(ctx, position, dispatchBatch)
	if err != nil || len(events) == 0 {
		return false, err
	}
	s.announce(events)
	made := 0
	// Events and webhooks are looked at in this order and the webhooks in the
	// transaction: one that was made after the events knows so by StartSeq, and
	// one that was deleted gets nothing.
	err = s.store.Tx(ctx, func(q core.Queries) error {
		webhooks, err := q.Webhooks(ctx, "")
		if err != nil {
			return err
		}
		deliveries := s.match(events, webhooks)
		made = len(deliveries)
		if err := q.AddDeliveries(ctx, deliveries); err != nil {
			return err
		}
		return q.SetOutboxPosition(ctx, events[len(events)-1].Seq)
	})
	if err != nil {
		return false, err
	}
	if made > 0 {
		s.sender.poke()
	}
	return len(events) == dispatchBatch, nil
}

// match returns a delivery for each event and each webhook that asked for it,
// in the order of the events.
func (s *Service) match(events []core.Event, webhooks []core.Webhook) []core.Delivery {
	now := s.clock.Now()
	var deliveries []core.Delivery
	for _, e := range events {
		for _, w := range webhooks {
			if !wants(w, e) {
				continue
			}
			deliveries = append(deliveries, core.Delivery{
				ID: core.NewID("dlv", now), WebhookID: w.ID, EventID: e.ID, EventType: e.Type, RepoID: e.RepoID, Payload: e.Payload,
				State: core.DeliveryPending, CreatedAt: now, Trace: e.Trace,
			})
		}
	}
	return deliveries
}

// wants reports whether the webhook is to receive the event.
func wants(w core.Webhook, e core.Event) bool {
	return w.Active && w.Org == e.Org && e.Seq > w.StartSeq && (w.RepoID == "" || w.RepoID == e.RepoID) && slices.Contains(w.Events, e.Type)
}
