package store

import (
	"context"
	"fmt"
	"time"

	"github.com/headwater-git/headwater/core"
)

// seal seals a secret for one place: a column of a row, which no other secret
// has a column of the same place for.
func (q *queries) seal(secret, place string) ([]byte, error) {
	sealed, err := q.sealer.Seal([]byte(secret), []byte(place))
	if err != nil {
		return nil, &core.Error{Kind: core.KindInternal, Message: "the secret cannot be sealed", Err: err}
	}
	return sealed, nil
}

// open reverses seal.
func (q *queries) open(sealed []byte, place string) (string, error) {
	plain, err := q.sealer.Open(sealed, []byte(place))
	if err != nil {
		return "", &core.Error{
			Kind:    core.KindInternal,
			Message: "the stored secret cannot be opened; the sealing key is not the one it was sealed with, or the row was changed",
			Err:     err,
		}
	}
	return string(plain), nil
}

// sealedColumn is a column of sealed secrets.
type sealedColumn struct {
	table, key, column string
	place              func(key string) string
}

// sealedColumns returns all there are: what is added to the schema must be
// added here, or a change of keys loses it.
func sealedColumns() []sealedColumn {
	itself := func(id string) string { return id }
	return []sealedColumn{
		{"credentials", "id", "sealed", itself},
		{"webhooks", "id", "sealed", itself},
		{"inbound_webhooks", "repo_id", "sealed_token", tokenPlace},
		{"inbound_webhooks", "repo_id", "sealed_secrets", secretsPlace},
		{"issuer_keys", "key_id", "sealed", issuerKeyPlace},
		{"shared_credentials", "id", "sealed", sharedPlace},
		{"previous_credentials", "credential_id", "sealed", previousPlace},
		{"idempotent_calls", "id", "sealed", callPlace},
	}
}

// ResealCredentials implements [core.CredentialStore]. All are sealed anew or,
// if one does not open, none.
func (q *queries) ResealCredentials(ctx context.Context) (n int, err error) {
	action := op{name: "reseal credentials"}
	err = q.writeAll(ctx, func(tx runner) error {
		for _, c := range sealedColumns() {
			resealed, err := q.reseal(ctx, tx, c, &action)
			if err != nil {
				return err
			}
			n += resealed
		}
		return nil
	})
	if err != nil {
		return 0, action.fail(err)
	}
	return n, nil
}

// sealedSecret is what one row has in a sealed column.
type sealedSecret struct {
	key    string
	sealed []byte
}

// secrets returns what the rows of a column have, by their keys.
func (c sealedColumn) secrets(ctx context.Context, tx runner) ([]sealedSecret, error) {
	return collect(ctx, tx, func(row scanner) (s sealedSecret, err error) {
		err = row.Scan(&s.key, &s.sealed)
		return s, err
	}, fmt.Sprintf(`SELECT %s, %s FROM %s ORDER BY %[1]s`, c.key, c.column, c.table))
}

// reseal seals every secret of a column anew. If that fails, the subject of
// action is the row.
func (q *queries) reseal(ctx context.Context, tx runner, c sealedColumn, action *op) (int, error) {
	all, err := c.secrets(ctx, tx)
	if err != nil {
		return 0, err
	}
	update := fmt.Sprintf(`UPDATE %s SET %s = $1 WHERE %s = $2`, c.table, c.column, c.key)
	for _, old := range all {
		action.subject = old.key
		plain, err := q.open(old.sealed, c.place(old.key))
		if err != nil {
			return 0, err
		}
		sealed, err := q.seal(plain, c.place(old.key))
		if err != nil {
			return 0, err
		}
		if err := touch(ctx, tx, update, sealed, old.key); err != nil {
			return 0, fmt.Errorf("replace %q: %w", old.key, err)
		}
	}
	action.subject = ""
	return len(all), nil
}

// lostWebhook is why a webhook is switched off.
const lostWebhook = "its secret was lost with the sealing key: give it another one and switch it on again"

// lostShared is why a shared credential does not work.
const lostShared = "its secret was lost with the sealing key: rotate it"

// DropLostSecrets implements [core.CredentialStore].
func (q *queries) DropLostSecrets(ctx context.Context, until time.Time) (lost []core.LostSecret, err error) {
	action := op{name: "drop lost secrets"}
	err = q.writeAll(ctx, func(tx runner) error {
		lost = nil
		for _, c := range sealedColumns() {
			found, err := q.dropLost(ctx, tx, c, until)
			if err != nil {
				return err
			}
			lost = append(lost, found...)
		}
		return nil
	})
	return lost, action.fail(err)
}

// lostOwner returns how what a table's secrets belong to is named, by the key of a row; a
// table that it does not know has secrets that are made anew by themselves.
func lostOwner(table string) (kind core.LostSecretKind, query string) {
	switch table {
	case "credentials":
		return core.LostCredential, `SELECT r.org, r.name FROM credentials c JOIN repositories r ON r.id = c.repo_id WHERE c.id = $1`
	case "shared_credentials":
		return core.LostSharedCredential, `SELECT org, name FROM shared_credentials WHERE id = $1`
	case "webhooks":
		return core.LostWebhook, `SELECT org, id FROM webhooks WHERE id = $1`
	}
	return "", ""
}

// dropLost removes the secrets of a column that do not open.
func (q *queries) dropLost(ctx context.Context, tx runner, c sealedColumn, until time.Time) (lost []core.LostSecret, err error) {
	all, err := c.secrets(ctx, tx)
	if err != nil {
		return nil, err
	}
	kind, query := lostOwner(c.table)
	for _, s := range all {
		if _, err := q.open(s.sealed, c.place(s.key)); err == nil {
			continue
		}
		if kind != "" {
			found := core.LostSecret{Kind: kind}
			if err := tx.QueryRowContext(ctx, query, s.key).Scan(&found.Org, &found.Name); err != nil {
				return nil, err
			}
			lost = append(lost, found)
		}
		if err := q.drop(ctx, tx, c, s.key, until); err != nil {
			return nil, fmt.Errorf("drop the secret of %q: %w", s.key, err)
		}
	}
	return lost, nil
}

// drop removes a secret, or the row that is nothing without it.
func (q *queries) drop(ctx context.Context, tx runner, c sealedColumn, key string, until time.Time) error {
	empty, err := q.seal("", c.place(key))
	if err != nil {
		return err
	}
	switch c.table {
	case "webhooks":
		return touch(ctx, tx, `UPDATE webhooks SET active = 0, last_error = $1, sealed = $2 WHERE id = $3`, lostWebhook, empty, key)
	case "shared_credentials":
		return touch(ctx, tx, `UPDATE shared_credentials SET check_error = $1, sealed = $2 WHERE id = $3`, lostShared, empty, key)
	case "issuer_keys":
		if err := touch(ctx, tx, `UPDATE keys SET verifies_until = $1 WHERE id = $2`, micros(until), key); err != nil {
			return err
		}
	}
	return touch(ctx, tx, fmt.Sprintf(`DELETE FROM %s WHERE %s = $1`, c.table, c.key), key)
}
