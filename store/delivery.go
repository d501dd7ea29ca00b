package store

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
)

const noDelivery = "no such delivery"

const deliveryColumns = `id, webhook_id, event_id, event_type, repo_id, state, attempts, next_attempt_at,
	last_status, last_error, created_at, finished_at, payload, trace`

const selectDelivery = `SELECT ` + deliveryColumns + ` FROM deliveries`

func scanDelivery(row scanner) (d core.Delivery, err error) {
	err = row.Scan(&d.ID, &d.WebhookID, &d.EventID, &d.EventType, &d.RepoID, &d.State, &d.Attempts, timeColumn{&d.NextAttemptAt},
		&d.LastStatus, &d.LastError, timeColumn{&d.CreatedAt}, timeColumn{&d.FinishedAt}, &d.Payload, &d.Trace)
	return d, err
}

// queue is what deliveries wait in, one behind the other: that of a webhook
// and repository.
type queue struct{ webhookID, repoID string }

// settle makes the oldest pending delivery of the queue its head, and no other
// one.
func (u queue) settle(ctx context.Context, tx *repeated) error {
	const oldest = `(SELECT o.id FROM deliveries o
		WHERE o.webhook_id = $1 AND o.repo_id = $2 AND o.state = 'pending' ORDER BY o.id LIMIT 1)`
	// First away with another head: there may be one at most.
	for _, statement := range []string{
		`UPDATE deliveries SET head = 0 WHERE webhook_id = $1 AND repo_id = $2 AND head = 1 AND (state <> 'pending' OR id <> ` + oldest + `)`,
		`UPDATE deliveries SET head = 1 WHERE id = ` + oldest + ` AND head = 0`,
	} {
		if err := tx.exec(ctx, statement, u.webhookID, u.repoID); err != nil {
			return err
		}
	}
	return nil
}

// AddDeliveries implements [core.WebhookStore]. KindConflict: an id is there
// already. KindNotFound: no such webhook. Then none is added.
func (q *queries) AddDeliveries(ctx context.Context, ds []core.Delivery) error {
	if len(ds) == 0 {
		return nil
	}
	action := op{name: "add deliveries", missing: noWebhook, taken: "a delivery of this id exists already"}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		again := repeat(tx)
		defer again.close()
		queues := map[queue]struct{}{}
		for _, d := range ds {
			if err := again.exec(ctx, `
				INSERT INTO deliveries (`+deliveryColumns+`, head)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0)`,
				d.ID, d.WebhookID, d.EventID, d.EventType, d.RepoID, d.State, d.Attempts, micros(d.NextAttemptAt),
				d.LastStatus, d.LastError, micros(d.CreatedAt), micros(d.FinishedAt), string(d.Payload), d.Trace); err != nil {
				action.subject = d.ID
				return err
			}
			queues[queue{d.WebhookID, d.RepoID}] = struct{}{}
		}
		for u := range queues {
			if err := u.settle(ctx, again); err != nil {
				return err
			}
		}
		return nil
	}))
}

// Delivery implements [core.WebhookStore].
func (q *queries) Delivery(ctx context.Context, webhookID, id string) (core.Delivery, error) {
	d, err := scanDelivery(q.read.QueryRowContext(ctx, selectDelivery+` WHERE webhook_id = $1 AND id = $2`, webhookID, id))
	return d, op{name: "read delivery", subject: id, missing: noDelivery}.fail(err)
}

// Deliveries implements [core.WebhookStore]. KindInvalid: the limit is not
// positive.
func (q *queries) Deliveries(ctx context.Context, webhookID, before string, limit int) ([]core.Delivery, error) {
	action := op{name: "list deliveries", subject: webhookID}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	all, err := collect(ctx, q.read, scanDelivery, selectDelivery+`
		WHERE webhook_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, webhookID, orLast(before), limit)
	return all, action.fail(err)
}

// heldByRestore finds a row while deliveries wait for an operator's word.
const heldByRestore = `SELECT 1 FROM restores WHERE id = 1 AND confirmed_at = 0`

// heldLook is how soon, in microseconds, held deliveries are looked at again: the word
// comes from another process.
const heldLook = `15000000`

// DueDeliveries implements [core.WebhookStore]. KindInvalid: the limit is not
// positive.
func (q *queries) DueDeliveries(ctx context.Context, now time.Time, skip []string, limit int) ([]core.Delivery, error) {
	action := op{name: "list due deliveries"}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	all, err := collect(ctx, q.read, scanDelivery, selectDelivery+`
		WHERE head = 1 AND next_attempt_at <= $1 AND NOT (`+listed("$2", "webhook_id")+`) AND NOT EXISTS (`+heldByRestore+`)
		ORDER BY next_attempt_at, id LIMIT $3`, micros(now), list(skip), limit)
	return all, action.fail(err)
}

// NextDeliveryAt implements [core.WebhookStore].
func (q *queries) NextDeliveryAt(ctx context.Context, now time.Time) (time.Time, error) {
	action := op{name: "find next delivery"}
	held, err := q.next(ctx, action, `SELECT CAST($1 AS BIGINT) + `+heldLook+` WHERE EXISTS (`+heldByRestore+`)`, micros(now))
	if err != nil || !held.IsZero() {
		return held, err
	}
	return q.next(ctx, action, `
		SELECT next_attempt_at FROM deliveries WHERE head = 1 AND next_attempt_at > $1
		ORDER BY next_attempt_at LIMIT 1`, micros(now))
}

// SaveDelivery implements [core.WebhookStore]. FinishedAt belongs to the state.
// One that becomes pending again takes its old place in the order.
func (q *queries) SaveDelivery(ctx context.Context, d core.Delivery) error {
	action := op{name: "save delivery", subject: d.ID, missing: noDelivery}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		var u queue
		if err := tx.QueryRowContext(ctx, `
			UPDATE deliveries SET state = $1, attempts = $2, next_attempt_at = $3, last_status = $4, last_error = $5, finished_at = $6
			WHERE id = $7 RETURNING webhook_id, repo_id`,
			d.State, d.Attempts, micros(d.NextAttemptAt), d.LastStatus, d.LastError, micros(d.FinishedAt), d.ID).
			Scan(&u.webhookID, &u.repoID); err != nil {
			return err
		}
		again := repeat(tx)
		defer again.close()
		return u.settle(ctx, again)
	}))
}

// CancelDeliveries implements [core.WebhookStore]. None is no error.
func (q *queries) CancelDeliveries(ctx context.Context, webhookID string, at time.Time) error {
	return op{name: "cancel deliveries", subject: webhookID}.fail(q.write(ctx, func(tx runner) error {
		_, err := tx.ExecContext(ctx, `
			UPDATE deliveries SET state = 'cancelled', head = 0, next_attempt_at = 0, finished_at = $1
			WHERE webhook_id = $2 AND state = 'pending'`, micros(at), webhookID)
		return err
	}))
}

// AddAttempt implements [core.WebhookStore]. KindConflict: there is one of this
// number. KindNotFound: no such delivery.
func (q *queries) AddAttempt(ctx context.Context, a core.DeliveryAttempt) error {
	action := op{name: "add attempt", subject: a.DeliveryID, missing: noDelivery, taken: "the delivery has an attempt of this number already"}
	response := a.Response
	if response == nil {
		response = []byte{} // nil would be NULL
	}
	return q.exec(ctx, action, `
		INSERT INTO delivery_attempts (delivery_id, number, at, duration, status, response, error)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		a.DeliveryID, a.Number, micros(a.At), a.Duration.Microseconds(), a.Status, response, a.Error)
}

// Attempts implements [core.WebhookStore]. Durations are cut to microseconds.
func (q *queries) Attempts(ctx context.Context, deliveryID string) ([]core.DeliveryAttempt, error) {
	all, err := collect(ctx, q.read, scanAttempt, `
		SELECT delivery_id, number, at, duration, status, response, error
		FROM delivery_attempts WHERE delivery_id = $1 ORDER BY number`, deliveryID)
	return all, op{name: "list attempts", subject: deliveryID}.fail(err)
}

func scanAttempt(row scanner) (a core.DeliveryAttempt, err error) {
	var duration int64
	err = row.Scan(&a.DeliveryID, &a.Number, timeColumn{&a.At}, &duration, &a.Status, &a.Response, &a.Error)
	a.Duration = time.Duration(duration) * time.Microsecond
	return a, err
}

// DeleteDeliveries implements [core.WebhookStore]. KindInvalid: the limit is
// not positive.
func (q *queries) DeleteDeliveries(ctx context.Context, before time.Time, limit int) (int, error) {
	return q.deleteSome(ctx, op{name: "delete deliveries"}, limit, `
		DELETE FROM deliveries WHERE id IN (
			SELECT id FROM deliveries WHERE state <> 'pending' AND finished_at < $1 ORDER BY finished_at LIMIT $2)`,
		micros(before))
}

// DropDeliveries implements [core.WebhookStore]. KindInvalid: the limit is not
// positive. The oldest, one of which is first in line, go last.
func (q *queries) DropDeliveries(ctx context.Context, org, webhookID string, limit int) (int, error) {
	return q.deleteSome(ctx, op{name: "drop deliveries", subject: webhookID}, limit, `
		DELETE FROM deliveries WHERE id IN (
			SELECT id FROM deliveries WHERE webhook_id = (SELECT id FROM webhooks WHERE org = $1 AND id = $2) ORDER BY id DESC LIMIT $3)`,
		org, webhookID)
}
