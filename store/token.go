package store

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

// issuerKeyPlace is the place of a private key for sealing.
func issuerKeyPlace(id string) string { return "issuer-key:" + id }

// AddIssuerKey implements [core.TokenStore].
func (q *queries) AddIssuerKey(ctx context.Context, k core.Key, private providers.Secret) error {
	action := op{name: "add issuer key", subject: k.ID, missing: "no such organisation", taken: "the organisation has a key that signs tokens already"}
	sealed, err := q.seal(private.Reveal(), issuerKeyPlace(k.ID))
	if err != nil {
		return action.fail(err)
	}
	k.Issuer = true
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		if err := insertKey(ctx, tx, k); err != nil {
			return err
		}
		return touch(ctx, tx, `INSERT INTO issuer_keys (key_id, sealed) VALUES ($1, $2)`, k.ID, sealed)
	}))
}

// IssuerKey implements [core.TokenStore].
func (q *queries) IssuerKey(ctx context.Context, org string) (core.Key, providers.Secret, error) {
	action := op{name: "read issuer key", subject: org, missing: "the organisation has no key that signs tokens"}
	var sealed []byte
	k, err := scanKey(q.read.QueryRowContext(ctx, `
		SELECT `+keyColumns+`, (SELECT sealed FROM issuer_keys s WHERE s.key_id = keys.id)
		FROM keys WHERE org = $1 AND issuer = 1 AND verifies_until = 0 AND disabled_at = 0`, org), &sealed)
	if err != nil {
		return core.Key{}, "", action.fail(err)
	}
	private, err := q.open(sealed, issuerKeyPlace(k.ID))
	return k, providers.Secret(private), action.fail(err)
}

// RetireIssuerKey implements [core.TokenStore].
func (q *queries) RetireIssuerKey(ctx context.Context, org, id string, until time.Time) error {
	action := op{name: "retire issuer key", subject: id, missing: "no such key signs tokens"}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		err := touch(ctx, tx, `
			UPDATE keys SET verifies_until = $1 WHERE org = $2 AND id = $3 AND issuer = 1 AND verifies_until = 0 AND disabled_at = 0`,
			micros(until), org, id)
		if err != nil {
			return err
		}
		return deleteIssuerKey(ctx, tx, id)
	}))
}

// deleteIssuerKey deletes the private half of a key, if it has one.
func deleteIssuerKey(ctx context.Context, tx runner, id string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM issuer_keys WHERE key_id = $1`, id)
	return err
}

const revocationColumns = `seq, id, org, kind, value, issued_before, expires_at, created_at, revoked_by, reason`

func scanRevocation(row scanner) (r core.Revocation, err error) {
	err = row.Scan(&r.Seq, &r.ID, &r.Org, &r.Kind, &r.Value, timeColumn{&r.IssuedBefore}, timeColumn{&r.ExpiresAt}, timeColumn{&r.CreatedAt},
		&r.RevokedBy, &r.Reason)
	return r, err
}

// AddRevocation implements [core.TokenStore]. The place is that of the commit: SQLite
// has one writer at a time, so who reads what is above the last place that it has seen
// misses nothing. A store with several writers must see to that itself.
func (q *queries) AddRevocation(ctx context.Context, r core.Revocation) (seq int64, err error) {
	action := op{name: "add revocation", subject: r.ID, taken: "a revocation of this id exists already"}
	err = q.write(ctx, func(tx runner) error {
		return tx.QueryRowContext(ctx, `
			INSERT INTO revocations (id, org, kind, value, issued_before, expires_at, created_at, revoked_by, reason)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING seq`,
			r.ID, r.Org, r.Kind, r.Value, micros(r.IssuedBefore), micros(r.ExpiresAt), micros(r.CreatedAt), r.RevokedBy, r.Reason).Scan(&seq)
	})
	return seq, action.fail(err)
}

// RevocationsAfter implements [core.TokenStore]. KindInvalid: the limit is not positive.
func (q *queries) RevocationsAfter(ctx context.Context, seq int64, limit int) ([]core.Revocation, error) {
	action := op{name: "read revocations"}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	all, err := collect(ctx, q.read, scanRevocation, `
		SELECT `+revocationColumns+` FROM revocations WHERE seq > $1 ORDER BY seq LIMIT $2`, seq, limit)
	return all, action.fail(err)
}

// Revocations implements [core.TokenStore]. KindInvalid: the limit is not positive.
func (q *queries) Revocations(ctx context.Context, org string, before int64, limit int) ([]core.Revocation, error) {
	action := op{name: "list revocations", subject: org}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	if before <= 0 {
		before = 1<<63 - 1
	}
	all, err := collect(ctx, q.read, scanRevocation, `
		SELECT `+revocationColumns+` FROM revocations WHERE org = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3`, org, before, limit)
	return all, action.fail(err)
}

// DeleteRevocations implements [core.TokenStore]. KindInvalid: the limit is not positive.
func (q *queries) DeleteRevocations(ctx context.Context, before time.Time, limit int) (int, error) {
	return q.deleteSome(ctx, op{name: "delete revocations"}, limit, `
		DELETE FROM revocations WHERE seq IN (
			SELECT seq FROM revocations WHERE expires_at > 0 AND expires_at < $1 ORDER BY expires_at LIMIT $2)`,
		micros(before))
}
