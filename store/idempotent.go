package store

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

// callPlace is the place of the answer to a call for sealing.
func callPlace(id string) string { return "idempotent-call:" + id }

// BeginIdempotentCall implements [core.IdempotencyStore].
func (q *queries) BeginIdempotentCall(ctx context.Context, c core.IdempotentCall) error {
	action := op{name: "begin idempotent call", subject: c.ID, taken: "a call of this id is remembered already"}
	nothing, err := q.seal("", callPlace(c.ID))
	if err != nil {
		return action.fail(err)
	}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM idempotent_calls WHERE id = $1 AND created_at < $2`, c.ID, micros(c.At.Add(-core.IdempotentCallAge)))
		if err != nil {
			return err
		}
		// Numbered, so that the oldest above the bound are found without going over the rest.
		var number int64
		err = tx.QueryRowContext(ctx, `
			INSERT INTO idempotent_calls (id, org, number, created_at, fingerprint, status, sealed)
			VALUES ($1, $2, (SELECT COALESCE(MAX(number), 0) + 1 FROM idempotent_calls WHERE org = $2), $3, '', 0, $4) RETURNING number`,
			c.ID, c.Org, micros(c.At), nothing).Scan(&number)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM idempotent_calls WHERE org = $1 AND number <= $2`, c.Org, number-core.IdempotentCallsKept)
		return err
	}))
}

// IdempotentCall implements [core.IdempotencyStore].
func (q *queries) IdempotentCall(ctx context.Context, id string) (core.IdempotentCall, error) {
	action := op{name: "read idempotent call", subject: id, missing: "no call of this id is remembered"}
	c, sealed := core.IdempotentCall{ID: id}, []byte(nil)
	err := q.read.QueryRowContext(ctx, `SELECT org, created_at, fingerprint, status, sealed FROM idempotent_calls WHERE id = $1`, id).
		Scan(&c.Org, timeColumn{&c.At}, &c.Fingerprint, &c.Status, &sealed)
	if err != nil {
		return core.IdempotentCall{}, action.fail(err)
	}
	answer, err := q.open(sealed, callPlace(id))
	c.Answer = providers.Secret(answer)
	return c, action.fail(err)
}

// FinishIdempotentCall implements [core.IdempotencyStore].
func (q *queries) FinishIdempotentCall(ctx context.Context, c core.IdempotentCall) error {
	action := op{name: "finish idempotent call", subject: c.ID, missing: "no call of this id is remembered"}
	sealed, err := q.seal(c.Answer.Reveal(), callPlace(c.ID))
	if err != nil {
		return action.fail(err)
	}
	return q.exec(ctx, action, `UPDATE idempotent_calls SET fingerprint = $1, status = $2, sealed = $3 WHERE id = $4`,
		c.Fingerprint, c.Status, sealed, c.ID)
}

// ForgetIdempotentCall implements [core.IdempotencyStore].
func (q *queries) ForgetIdempotentCall(ctx context.Context, id string) error {
	return op{name: "forget idempotent call", subject: id}.fail(q.write(ctx, func(tx runner) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM idempotent_calls WHERE id = $1`, id)
		return err
	}))
}

// DeleteIdempotentCalls implements [core.IdempotencyStore]. KindInvalid: the limit is not positive.
func (q *queries) DeleteIdempotentCalls(ctx context.Context, before time.Time, limit int) (int, error) {
	return q.deleteSome(ctx, op{name: "delete idempotent calls"}, limit, `
		DELETE FROM idempotent_calls WHERE id IN (
			SELECT id FROM idempotent_calls WHERE created_at < $1 ORDER BY created_at LIMIT $2)`,
		micros(before))
}
