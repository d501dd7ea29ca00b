package store

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

const noWebhook = "no such webhook"

const webhookColumns = `id, org, url, events, repo_id, active, sealed, created_at, updated_at, start_seq,
	failing_since, last_success_at, last_attempt_at, last_error`

const selectWebhook = `SELECT ` + webhookColumns + ` FROM webhooks`

// sealedWebhook is a row of the table, its secret still sealed.
type sealedWebhook struct {
	core.Webhook
	sealed []byte
}

func scanWebhook(row scanner) (w sealedWebhook, err error) {
	err = row.Scan(&w.ID, &w.Org, &w.URL, jsonColumn{&w.Events}, &w.RepoID, &w.Active, &w.sealed,
		timeColumn{&w.CreatedAt}, timeColumn{&w.UpdatedAt}, &w.StartSeq,
		timeColumn{&w.FailingSince}, timeColumn{&w.LastSuccessAt}, timeColumn{&w.LastAttemptAt}, &w.LastError)
	return w, err
}

// openWebhook returns the webhook with its secret in the clear.
func (q *queries) openWebhook(w sealedWebhook) (core.Webhook, error) {
	secret, err := q.open(w.sealed, w.ID)
	if err != nil {
		return core.Webhook{}, err
	}
	w.Secret = providers.Secret(secret)
	return w.Webhook, nil
}

// CreateWebhook implements [core.WebhookStore]. KindConflict: its id is there
// already. KindNotFound: no such organisation.
func (q *queries) CreateWebhook(ctx context.Context, w core.Webhook) error {
	action := op{name: "create webhook", subject: w.ID, missing: "no such organisation", taken: "a webhook of this id exists already"}
	events, err := encode(w.Events)
	if err != nil {
		return action.fail(err)
	}
	sealed, err := q.seal(w.Secret.Reveal(), w.ID)
	if err != nil {
		return action.fail(err)
	}
	return q.exec(ctx, action, `
		INSERT INTO webhooks (`+webhookColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		w.ID, w.Org, w.URL, events, w.RepoID, bit(w.Active), sealed, micros(w.CreatedAt), micros(w.UpdatedAt), w.StartSeq,
		micros(w.FailingSince), micros(w.LastSuccessAt), micros(w.LastAttemptAt), w.LastError)
}

// UpdateWebhook implements [core.WebhookStore]. CreatedAt stays too; a zero
// UpdatedAt means now.
func (q *queries) UpdateWebhook(ctx context.Context, w core.Webhook) error {
	action := op{name: "update webhook", subject: w.ID, missing: noWebhook}
	if w.UpdatedAt.IsZero() {
		w.UpdatedAt = q.clock.Now()
	}
	events, err := encode(w.Events)
	if err != nil {
		return action.fail(err)
	}
	if w.Secret == "" {
		return q.exec(ctx, action, `
			UPDATE webhooks SET url = $1, events = $2, repo_id = $3, active = $4, updated_at = $5
			WHERE id = $6 AND org = $7`,
			w.URL, events, w.RepoID, bit(w.Active), micros(w.UpdatedAt), w.ID, w.Org)
	}
	sealed, err := q.seal(w.Secret.Reveal(), w.ID)
	if err != nil {
		return action.fail(err)
	}
	return q.exec(ctx, action, `
		UPDATE webhooks SET url = $1, events = $2, repo_id = $3, active = $4, updated_at = $5, sealed = $6
		WHERE id = $7 AND org = $8`,
		w.URL, events, w.RepoID, bit(w.Active), micros(w.UpdatedAt), sealed, w.ID, w.Org)
}

// DeleteWebhook implements [core.WebhookStore]. Foreign keys take along what
// hangs on it.
func (q *queries) DeleteWebhook(ctx context.Context, org, id string) error {
	return q.exec(ctx, op{name: "delete webhook", subject: id, missing: noWebhook}, `
		DELETE FROM webhooks WHERE org = $1 AND id = $2`, org, id)
}

// Webhook implements [core.WebhookStore]. KindInternal also if the secret does
// not open.
func (q *queries) Webhook(ctx context.Context, org, id string) (core.Webhook, error) {
	return q.webhook(ctx, id, selectWebhook+` WHERE org = $1 AND id = $2`, org, id)
}

// WebhookByID implements [core.WebhookStore]. KindInternal also if the secret
// does not open.
func (q *queries) WebhookByID(ctx context.Context, id string) (core.Webhook, error) {
	return q.webhook(ctx, id, selectWebhook+` WHERE id = $1`, id)
}

func (q *queries) webhook(ctx context.Context, id, query string, args ...any) (core.Webhook, error) {
	action := op{name: "read webhook", subject: id, missing: noWebhook}
	sealed, err := scanWebhook(q.read.QueryRowContext(ctx, query, args...))
	if err != nil {
		return core.Webhook{}, action.fail(err)
	}
	w, err := q.openWebhook(sealed)
	return w, action.fail(err)
}

// Webhooks implements [core.WebhookStore]. KindInternal also if a secret does
// not open.
func (q *queries) Webhooks(ctx context.Context, org string) ([]core.Webhook, error) {
	action := op{name: "list webhooks", subject: org}
	rows, err := collect(ctx, q.read, scanWebhook, selectWebhook+` WHERE $1 = '' OR org = $1 ORDER BY id DESC`, org)
	if err != nil {
		return nil, action.fail(err)
	}
	var all []core.Webhook
	for _, row := range rows {
		w, err := q.openWebhook(row)
		if err != nil {
			action.subject = row.ID
			return nil, action.fail(err)
		}
		all = append(all, w)
	}
	return all, nil
}

// NoteAttempt implements [core.WebhookStore]. An empty failure is a success.
func (q *queries) NoteAttempt(ctx context.Context, id string, at time.Time, failure string) error {
	return q.exec(ctx, op{name: "note attempt", subject: id, missing: noWebhook}, `
		UPDATE webhooks SET
			last_attempt_at = $1,
			last_error = $2,
			last_success_at = CASE WHEN $2 = '' THEN $1 ELSE last_success_at END,
			failing_since = CASE WHEN $2 = '' THEN 0 WHEN failing_since = 0 THEN $1 ELSE failing_since END
		WHERE id = $3`, micros(at), failure, id)
}

// OutboxPosition implements [core.WebhookStore].
func (q *queries) OutboxPosition(ctx context.Context) (seq int64, err error) {
	err = q.read.QueryRowContext(ctx, `SELECT seq FROM outbox`).Scan(&seq)
	return seq, op{name: "read outbox position"}.fail(err)
}

// SetOutboxPosition implements [core.WebhookStore].
func (q *queries) SetOutboxPosition(ctx context.Context, seq int64) error {
	return q.exec(ctx, op{name: "set outbox position"}, `UPDATE outbox SET seq = $1`, seq)
}
