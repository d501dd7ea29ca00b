package store

import (
	"context"
	"strconv"
	"time"

	"github.com/headwater-git/headwater/core"
)

// CreateOrg implements [core.OrgStore].
func (q *queries) CreateOrg(ctx context.Context, o core.Org) error {
	return q.exec(ctx, op{name: "create organisation", subject: o.Name, taken: "an organisation of this name exists already"}, `
		INSERT INTO orgs (name, created_at) VALUES ($1, $2)`,
		o.Name, micros(o.CreatedAt))
}

// Org implements [core.OrgStore].
func (q *queries) Org(ctx context.Context, name string) (core.Org, error) {
	o, err := scanOrg(q.read.QueryRowContext(ctx, `SELECT name, created_at, deleting_at FROM orgs WHERE name = $1`, name))
	return o, op{name: "read organisation", subject: name, missing: "no such organisation"}.fail(err)
}

// Orgs implements [core.OrgStore].
func (q *queries) Orgs(ctx context.Context) ([]core.Org, error) {
	all, err := collect(ctx, q.read, scanOrg, `SELECT name, created_at, deleting_at FROM orgs ORDER BY name`)
	return all, op{name: "list organisations"}.fail(err)
}

func scanOrg(row scanner) (o core.Org, err error) {
	err = row.Scan(&o.Name, timeColumn{&o.CreatedAt}, timeColumn{&o.DeletingAt})
	return o, err
}

const keyColumns = `id, org, key_id, algorithm, public_pem, created_at, disabled_at, issuer, verifies_until`

// AddKey implements [core.OrgStore]. KindNotFound: no such organisation.
func (q *queries) AddKey(ctx context.Context, k core.Key) error {
	action := op{name: "add key", subject: k.ID, missing: "no such organisation", taken: "a key of this id exists already"}
	if core.ReservedKeyID(k.KeyID) {
		return &core.Error{Kind: core.KindInvalid, Op: action.name, Subject: k.ID,
			Message: "the key id " + strconv.Quote(k.KeyID) + " belongs to the server's own keys; choose one that does not begin with \"headwater\" and a colon"}
	}
	k.Issuer, k.VerifiesUntil = false, time.Time{}
	return action.fail(q.writeAll(ctx, func(tx runner) error { return insertKey(ctx, tx, k) }))
}

func insertKey(ctx context.Context, tx runner, k core.Key) error {
	if err := openOrg(ctx, tx, k.Org); err != nil {
		return err
	}
	return touch(ctx, tx, `INSERT INTO keys (`+keyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		k.ID, k.Org, k.KeyID, k.Algorithm, k.PublicPEM, micros(k.CreatedAt), micros(k.DisabledAt), bit(k.Issuer), micros(k.VerifiesUntil))
}

// Keys implements [core.OrgStore]. An organisation that does not exist has no keys.
func (q *queries) Keys(ctx context.Context, org string) ([]core.Key, error) {
	all, err := collect(ctx, q.read, func(row scanner) (core.Key, error) { return scanKey(row) },
		`SELECT `+keyColumns+` FROM keys WHERE org = $1 ORDER BY created_at, id`, org)
	return all, op{name: "list keys", subject: org}.fail(err)
}

// scanKey reads a row of keyColumns, and what the query has after them into more.
func scanKey(row scanner, more ...any) (k core.Key, err error) {
	err = row.Scan(append([]any{
		&k.ID, &k.Org, &k.KeyID, &k.Algorithm, &k.PublicPEM, timeColumn{&k.CreatedAt}, timeColumn{&k.DisabledAt}, &k.Issuer, timeColumn{&k.VerifiesUntil},
	}, more...)...)
	return k, err
}

// DisableKey implements [core.OrgStore]. A key that is disabled keeps its time.
func (q *queries) DisableKey(ctx context.Context, org, id string, at time.Time) error {
	action := op{name: "disable key", subject: id, missing: "no such key"}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		err := touch(ctx, tx, `
			UPDATE keys SET disabled_at = CASE WHEN disabled_at = 0 THEN $1 ELSE disabled_at END
			WHERE org = $2 AND id = $3`,
			micros(at), org, id)
		if err != nil {
			return err
		}
		return deleteIssuerKey(ctx, tx, id)
	}))
}
