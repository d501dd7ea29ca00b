package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

const noInboundWebhook = "the repository has no inbound webhook"

const inboundColumns = `repo_id, sealed_token, sealed_secrets, rotated_at, hook_id, state, message,
	checked_at, next_check, last_delivery_at, last_missed_at, created_at`

const selectInbound = `SELECT ` + inboundColumns + ` FROM inbound_webhooks`

// sealedInbound is a row of the table, its secrets still sealed.
type sealedInbound struct {
	core.InboundWebhook
	token, secrets []byte
}

func scanInbound(row scanner) (w sealedInbound, err error) {
	err = row.Scan(&w.RepoID, &w.token, &w.secrets, timeColumn{&w.RotatedAt}, &w.HookID, &w.State, &w.Message,
		timeColumn{&w.CheckedAt}, timeColumn{&w.NextCheck}, timeColumn{&w.LastDeliveryAt}, timeColumn{&w.LastMissedAt}, timeColumn{&w.CreatedAt})
	return w, err
}

// tokenDigest is what a token is found by: whoever reads the database cannot
// make an address of it.
func tokenDigest(token string) string {
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// The associated data of the two columns differ, so that neither opens in the
// place of the other.
func tokenPlace(repoID string) string   { return "inbound-token:" + repoID }
func secretsPlace(repoID string) string { return "inbound-secrets:" + repoID }

// sealInbound returns token and secrets as they are stored.
func (q *queries) sealInbound(w core.InboundWebhook) (token, secrets []byte, err error) {
	if token, err = q.seal(w.Token, tokenPlace(w.RepoID)); err != nil {
		return nil, nil, err
	}
	plain := make([]string, 0, len(w.Secrets))
	for _, s := range w.Secrets {
		plain = append(plain, s.Reveal())
	}
	text, err := json.Marshal(plain)
	if err != nil {
		return nil, nil, fmt.Errorf("encode secrets: %w", err)
	}
	secrets, err = q.seal(string(text), secretsPlace(w.RepoID))
	return token, secrets, err
}

// openInbound returns the inbound webhook with its secrets in the clear.
func (q *queries) openInbound(w sealedInbound) (core.InboundWebhook, error) {
	var err error
	if w.Token, err = q.open(w.token, tokenPlace(w.RepoID)); err != nil {
		return core.InboundWebhook{}, err
	}
	text, err := q.open(w.secrets, secretsPlace(w.RepoID))
	if err != nil {
		return core.InboundWebhook{}, err
	}
	var plain []string
	if err := json.Unmarshal([]byte(text), &plain); err != nil {
		// The error of the decoder may quote a secret.
		return core.InboundWebhook{}, core.Errorf(core.KindInternal, "the stored secrets of %q are damaged", w.RepoID)
	}
	for _, s := range plain {
		w.Secrets = append(w.Secrets, providers.Secret(s))
	}
	return w.InboundWebhook, nil
}

// SaveInboundWebhook implements [core.InboundStore]. LastDeliveryAt and
// LastMissedAt never go back: NoteInbound may have set them while the caller
// asked the host. KindNotFound: the repository has no upstream. KindConflict:
// the token is another repository's.
func (q *queries) SaveInboundWebhook(ctx context.Context, w core.InboundWebhook) error {
	action := op{name: "save inbound webhook", subject: w.RepoID, missing: noUpstream, taken: "another repository has this token"}
	token, secrets, err := q.sealInbound(w)
	if err != nil {
		return action.fail(err)
	}
	return q.exec(ctx, action, `
		INSERT INTO inbound_webhooks (`+inboundColumns+`, token_digest)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
		ON CONFLICT (repo_id) DO UPDATE SET
			sealed_token = excluded.sealed_token, sealed_secrets = excluded.sealed_secrets, rotated_at = excluded.rotated_at, token_digest = excluded.token_digest,
			hook_id = excluded.hook_id, state = excluded.state, message = excluded.message,
			checked_at = excluded.checked_at, next_check = excluded.next_check, created_at = excluded.created_at,
			last_delivery_at = CASE WHEN excluded.last_delivery_at > inbound_webhooks.last_delivery_at
				THEN excluded.last_delivery_at ELSE inbound_webhooks.last_delivery_at END,
			last_missed_at = CASE WHEN excluded.last_missed_at > inbound_webhooks.last_missed_at
				THEN excluded.last_missed_at ELSE inbound_webhooks.last_missed_at END`,
		w.RepoID, token, secrets, micros(w.RotatedAt), w.HookID, w.State, w.Message, micros(w.CheckedAt), micros(w.NextCheck),
		micros(w.LastDeliveryAt), micros(w.LastMissedAt), micros(w.CreatedAt), tokenDigest(w.Token))
}

// InboundWebhook implements [core.InboundStore]. KindInternal also if its
// secrets do not open.
func (q *queries) InboundWebhook(ctx context.Context, repoID string) (core.InboundWebhook, error) {
	return q.inboundWebhook(ctx, op{name: "read inbound webhook", subject: repoID, missing: noInboundWebhook},
		selectInbound+` WHERE repo_id = $1`, repoID)
}

// InboundWebhookByToken implements [core.InboundStore]. KindInternal also if
// its secrets do not open.
func (q *queries) InboundWebhookByToken(ctx context.Context, token string) (core.InboundWebhook, error) {
	// The second condition is what the index has. No subject: it is a secret.
	return q.inboundWebhook(ctx, op{name: "read inbound webhook", missing: "no inbound webhook has this token"},
		selectInbound+` WHERE token_digest = $1 AND token_digest <> ''`, tokenDigest(token))
}

func (q *queries) inboundWebhook(ctx context.Context, action op, query string, args ...any) (core.InboundWebhook, error) {
	sealed, err := scanInbound(q.read.QueryRowContext(ctx, query, args...))
	if err != nil {
		return core.InboundWebhook{}, action.fail(err)
	}
	w, err := q.openInbound(sealed)
	return w, action.fail(err)
}

// DueInboundWebhooks implements [core.InboundStore], the longest due first.
// KindInvalid: the limit is not positive.
func (q *queries) DueInboundWebhooks(ctx context.Context, now time.Time, limit int) ([]string, error) {
	action := op{name: "list due inbound webhooks"}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	all, err := collect(ctx, q.read, scanString, `
		SELECT repo_id FROM inbound_webhooks WHERE next_check > 0 AND next_check <= $1
		ORDER BY next_check LIMIT $2`, micros(now), limit)
	return all, action.fail(err)
}

// missedPause keeps checks apart that missed deliveries cause: one may be right at
// the host, and its deliveries not arrive here. A delivery missed within it is
// followed by a check at its end.
const missedPause = 10 * time.Minute

// NoteInbound implements [core.InboundStore]. A zero time leaves what is known.
func (q *queries) NoteInbound(ctx context.Context, repoID string, delivered, missed time.Time) error {
	return op{name: "note inbound webhook", subject: repoID}.fail(q.write(ctx, func(tx runner) error {
		_, err := tx.ExecContext(ctx, `
			UPDATE inbound_webhooks SET
				last_delivery_at = CASE WHEN $1 > last_delivery_at THEN $1 ELSE last_delivery_at END,
				last_missed_at = CASE WHEN $2 > last_missed_at THEN $2 ELSE last_missed_at END,
				next_check = CASE
					WHEN state <> $4 OR next_check <= $2 THEN next_check
					WHEN $2 - checked_at >= $3 OR $2 - last_missed_at >= $3 THEN $2
					WHEN next_check > last_missed_at + $3 THEN last_missed_at + $3
					ELSE next_check END
			WHERE repo_id = $5`, micros(delivered), micros(missed), missedPause.Microseconds(), core.InboundActive, repoID)
		return err
	}))
}

// DeleteInboundWebhook implements [core.InboundStore].
func (q *queries) DeleteInboundWebhook(ctx context.Context, repoID string) error {
	return q.exec(ctx, op{name: "delete inbound webhook", subject: repoID, missing: noInboundWebhook}, `
		DELETE FROM inbound_webhooks WHERE repo_id = $1`, repoID)
}

// AddInboundDelivery implements [core.InboundStore].
func (q *queries) AddInboundDelivery(ctx context.Context, d core.InboundDelivery) error {
	return q.exec(ctx, op{name: "add inbound delivery", subject: d.DeliveryID, taken: "this delivery came before"}, `
		INSERT INTO inbound_deliveries (instance, delivery_id, repo_id, kind, received_at) VALUES ($1, $2, $3, $4, $5)`,
		d.Instance, d.DeliveryID, d.RepoID, d.Kind, micros(d.ReceivedAt))
}

// LastInboundDelivery implements [core.InboundStore].
func (q *queries) LastInboundDelivery(ctx context.Context, instance string) (time.Time, error) {
	return q.next(ctx, op{name: "find the last inbound delivery", subject: instance}, `
		SELECT received_at FROM inbound_deliveries WHERE instance = $1 ORDER BY received_at DESC LIMIT 1`, instance)
}

// DeleteInboundDeliveries implements [core.InboundStore]. The last one of each
// instance stays, for LastInboundDelivery. KindInvalid: the limit is not
// positive.
func (q *queries) DeleteInboundDeliveries(ctx context.Context, before time.Time, limit int) (int, error) {
	return q.deleteSome(ctx, op{name: "delete inbound deliveries"}, limit, `
		DELETE FROM inbound_deliveries WHERE (instance, delivery_id) IN (
			SELECT instance, delivery_id FROM inbound_deliveries d
			WHERE received_at < $1 AND received_at < (
				SELECT n.received_at FROM inbound_deliveries n WHERE n.instance = d.instance ORDER BY n.received_at DESC LIMIT 1)
			ORDER BY received_at LIMIT $2)`, micros(before))
}

// Expect implements [core.InboundStore]. KindNotFound: a repository has no
// upstream; then none is inserted.
func (q *queries) Expect(ctx context.Context, es []core.Expectation) error {
	if len(es) == 0 {
		return nil
	}
	action := op{name: "expect", missing: noUpstream}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		for _, e := range es {
			if _, err := tx.ExecContext(ctx, `
				INSERT INTO expectations (repo_id, ref, old_id, new_id, since, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (repo_id, ref) DO UPDATE SET old_id = excluded.old_id, new_id = excluded.new_id,
					since = excluded.since, expires_at = excluded.expires_at`,
				e.RepoID, e.Ref, e.Old, e.New, micros(e.Since), micros(e.ExpiresAt)); err != nil {
				action.subject = e.RepoID
				return err
			}
		}
		return nil
	}))
}

// Expectations implements [core.InboundStore], in the order of the refs.
func (q *queries) Expectations(ctx context.Context, repoID string) ([]core.Expectation, error) {
	all, err := collect(ctx, q.read, func(row scanner) (e core.Expectation, err error) {
		err = row.Scan(&e.RepoID, &e.Ref, &e.Old, &e.New, timeColumn{&e.Since}, timeColumn{&e.ExpiresAt})
		return e, err
	}, `SELECT repo_id, ref, old_id, new_id, since, expires_at FROM expectations WHERE repo_id = $1 ORDER BY ref`, repoID)
	return all, op{name: "list expectations", subject: repoID}.fail(err)
}

// Unexpect implements [core.InboundStore]. None is no error.
func (q *queries) Unexpect(ctx context.Context, repoID, ref string, id core.ObjectID) error {
	return op{name: "unexpect", subject: repoID}.fail(q.write(ctx, func(tx runner) error {
		_, err := tx.ExecContext(ctx, `
			DELETE FROM expectations WHERE repo_id = $1 AND ref = $2 AND new_id = $3`, repoID, ref, id)
		return err
	}))
}
