package events

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
)

// pingType is the type of a test delivery, to which no webhook subscribes.
const pingType = "ping"

// record writes the results of finished attempts in one transaction. What was
// deleted meanwhile is left out.
func (s *sender) record(ctx context.Context, batch []result) error {
	now := s.clock.Now()
	return s.store.Tx(ctx, func(q core.Queries) error {
		for _, r := range batch {
			if err := recordOne(ctx, q, r, now); err != nil && core.KindOf(err) != core.KindNotFound {
				return err
			}
		}
		for _, note := range notes(batch) {
			if err := q.NoteAttempt(ctx, note.webhookID, note.at, note.failure); err != nil && core.KindOf(err) != core.KindNotFound {
				return err
			}
		}
		return nil
	})
}

func recordOne(ctx context.Context, q core.Queries, r result, now time.Time) error {
	d, o := r.delivery, r.outcome
	d.LastStatus, d.LastError = o.status, o.failure
	if !r.expired {
		d.Attempts++
	}
	d.NextAttemptAt = time.Time{}
	switch {
	case o.failure == "":
		d.State, d.FinishedAt = core.DeliveryDelivered, now
	default:
		// Cancelled while the request was under way: that stands, but what
		// the receiver has accepted was recorded above.
		current, err := q.Delivery(ctx, d.WebhookID, d.ID)
		if err != nil {
			return err
		}
		if current.State != core.DeliveryPending {
			d.State, d.FinishedAt = current.State, current.FinishedAt
			break
		}
		if d.EventType != pingType && !r.expired {
			d.NextAttemptAt = nextAttempt(d.CreatedAt, now, d.Attempts, isMarked(r.webhook, now))
		}
		if d.NextAttemptAt.IsZero() {
			d.State, d.FinishedAt = core.DeliveryFailed, now
		}
	}
	if err := q.SaveDelivery(ctx, d); err != nil || r.expired {
		return err
	}
	return q.AddAttempt(ctx, core.DeliveryAttempt{
		DeliveryID: d.ID, Number: d.Attempts, At: o.at, Duration: o.duration, Status: o.status, Response: o.response, Error: o.failure,
	})
}

// note is what some attempts change in the row of their webhook.
type note struct {
	webhookID string
	at        time.Time
	failure   string
}

// notes sums the attempts of a batch up: of several in a row with the same
// outcome, the first and the last say everything that the row keeps.
func notes(batch []result) []note {
	byWebhook := map[string][]note{}
	var order []string
	for _, r := range batch {
		if r.expired {
			continue
		}
		n := note{r.webhook.ID, r.outcome.at, r.outcome.failure}
		list, known := byWebhook[n.webhookID]
		if !known {
			order = append(order, n.webhookID)
		}
		same := func(i int) bool { return (list[i].failure == "") == (n.failure == "") }
		if last := len(list) - 1; last >= 1 && same(last) && same(last-1) {
			list[last] = n
		} else {
			list = append(list, n)
		}
		byWebhook[n.webhookID] = list
	}
	var all []note
	for _, id := range order {
		all = append(all, byWebhook[id]...)
	}
	return all
}
