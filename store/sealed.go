package store

import (
	"context"
	"fmt"

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

// reseal seals every secret of a column anew. If that fails, the subject of
// action is the row.
func (q *queries) reseal(ctx context.Context, tx runner, c sealedColumn, action *op) (int, error) {
	type secret struct {
		key    string
		sealed []byte
	}
	all, err := collect(ctx, tx, func(row scanner) (s secret, err error) {
		err = row.Scan(&s.key, &s.sealed)
		return s, err
	}, fmt.Sprintf(`SELECT %s, %s FROM %s ORDER BY %[1]s`, c.key, c.column, c.table))
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
