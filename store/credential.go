package store

import (
	"context"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

const noCredential = "no such credential"

// sealedCredential is a row of the table, its secret still sealed.
type sealedCredential struct {
	core.Credential
	sealed []byte
}

const selectCredential = `SELECT id, repo_id, username, host, sealed, created_at, updated_at FROM credentials`

func scanCredential(row scanner) (c sealedCredential, err error) {
	err = row.Scan(&c.ID, &c.RepoID, &c.Username, &c.Host, &c.sealed, timeColumn{&c.CreatedAt}, timeColumn{&c.UpdatedAt})
	return c, err
}

// openCredential returns the credential with its secret in the clear.
func (q *queries) openCredential(c sealedCredential) (core.Credential, error) {
	secret, err := q.open(c.sealed, c.ID)
	if err != nil {
		return core.Credential{}, err
	}
	c.Secret = providers.Secret(secret)
	return c.Credential, nil
}

// CreateCredential implements [core.CredentialStore]. KindNotFound: no such
// repository.
func (q *queries) CreateCredential(ctx context.Context, c core.Credential) error {
	action := op{name: "create credential", subject: c.ID, missing: noRepository, taken: "the repository has a credential already"}
	if shared, err := q.SharedCredentialOf(ctx, c.RepoID); err == nil {
		return action.fail(core.Errorf(core.KindConflict, "the repository uses the shared credential %q: a token of the organisation takes it away first", shared.Name))
	} else if core.KindOf(err) != core.KindNotFound {
		return action.fail(err)
	}
	sealed, err := q.seal(c.Secret.Reveal(), c.ID)
	if err != nil {
		return action.fail(err)
	}
	return q.exec(ctx, action, `
		INSERT INTO credentials (id, repo_id, username, host, sealed, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		c.ID, c.RepoID, c.Username, c.Host, sealed, micros(c.CreatedAt), micros(c.UpdatedAt))
}

// UpdateCredential implements [core.CredentialStore]. A zero UpdatedAt means now.
func (q *queries) UpdateCredential(ctx context.Context, c core.Credential) error {
	action := op{name: "update credential", subject: c.ID, missing: noCredential}
	if c.UpdatedAt.IsZero() {
		c.UpdatedAt = q.clock.Now()
	}
	sealed, err := q.seal(c.Secret.Reveal(), c.ID)
	if err != nil {
		return action.fail(err)
	}
	return q.exec(ctx, action, `
		UPDATE credentials SET username = $1, host = $2, sealed = $3, updated_at = $4 WHERE id = $5`,
		c.Username, c.Host, sealed, micros(c.UpdatedAt), c.ID)
}

// DeleteCredential implements [core.CredentialStore].
func (q *queries) DeleteCredential(ctx context.Context, id string) error {
	return q.exec(ctx, op{name: "delete credential", subject: id, missing: noCredential}, `
		DELETE FROM credentials WHERE id = $1`, id)
}

// CredentialByID implements [core.CredentialStore]. KindInternal also if the
// secret does not open.
func (q *queries) CredentialByID(ctx context.Context, id string) (core.Credential, error) {
	return q.credential(ctx, id, selectCredential+` WHERE id = $1`)
}

func (q *queries) credential(ctx context.Context, id, query string) (core.Credential, error) {
	action := op{name: "read credential", subject: id, missing: noCredential}
	sealed, err := scanCredential(q.read.QueryRowContext(ctx, query, id))
	if err != nil {
		return core.Credential{}, action.fail(err)
	}
	c, err := q.openCredential(sealed)
	return c, action.fail(err)
}
