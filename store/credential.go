package store

import (
	"context"
	"fmt"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

const noCredential = "no such credential"

// sealedCredential is a row of the table, its secret still sealed.
type sealedCredential struct {
	core.Credential
	sealed []byte
}

const selectCredential = `SELECT id, repo_id, username, sealed, created_at, updated_at FROM credentials`

func scanCredential(row scanner) (c sealedCredential, err error) {
	err = row.Scan(&c.ID, &c.RepoID, &c.Username, &c.sealed, timeColumn{&c.CreatedAt}, timeColumn{&c.UpdatedAt})
	return c, err
}

// seal seals the secret of the credential for the row of that id.
func (q *queries) seal(secret providers.Secret, id string) ([]byte, error) {
	sealed, err := q.sealer.Seal([]byte(secret.Reveal()), []byte(id))
	if err != nil {
		return nil, &core.Error{Kind: core.KindInternal, Message: "the secret cannot be sealed", Err: err}
	}
	return sealed, nil
}

// open returns the credential with its secret in the clear.
func (q *queries) open(c sealedCredential) (core.Credential, error) {
	plain, err := q.sealer.Open(c.sealed, []byte(c.ID))
	if err != nil {
		return core.Credential{}, &core.Error{
			Kind:    core.KindInternal,
			Message: "the stored secret cannot be opened; the sealing key is not the one it was sealed with, or the row was changed",
			Err:     err,
		}
	}
	c.Secret = providers.Secret(plain)
	return c.Credential, nil
}

// CreateCredential implements [core.CredentialStore]. KindNotFound: no such
// repository.
func (q *queries) CreateCredential(ctx context.Context, c core.Credential) error {
	action := op{name: "create credential", subject: c.ID, missing: noRepository, taken: "the repository has a credential already"}
	sealed, err := q.seal(c.Secret, c.ID)
	if err != nil {
		return action.fail(err)
	}
	return q.exec(ctx, action, `
		INSERT INTO credentials (id, repo_id, username, sealed, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		c.ID, c.RepoID, c.Username, sealed, micros(c.CreatedAt), micros(c.UpdatedAt))
}

// UpdateCredential implements [core.CredentialStore]. A zero UpdatedAt means now.
func (q *queries) UpdateCredential(ctx context.Context, c core.Credential) error {
	action := op{name: "update credential", subject: c.ID, missing: noCredential}
	if c.UpdatedAt.IsZero() {
		c.UpdatedAt = q.clock.Now()
	}
	sealed, err := q.seal(c.Secret, c.ID)
	if err != nil {
		return action.fail(err)
	}
	return q.exec(ctx, action, `
		UPDATE credentials SET username = $1, sealed = $2, updated_at = $3 WHERE id = $4`,
		c.Username, sealed, micros(c.UpdatedAt), c.ID)
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

// CredentialByRepo implements [core.CredentialStore]. KindInternal also if the
// secret does not open.
func (q *queries) CredentialByRepo(ctx context.Context, repoID string) (core.Credential, error) {
	return q.credential(ctx, repoID, selectCredential+` WHERE repo_id = $1`)
}

func (q *queries) credential(ctx context.Context, id, query string) (core.Credential, error) {
	action := op{name: "read credential", subject: id, missing: noCredential}
	sealed, err := scanCredential(q.read.QueryRowContext(ctx, query, id))
	if err != nil {
		return core.Credential{}, action.fail(err)
	}
	c, err := q.open(sealed)
	return c, action.fail(err)
}

// ResealCredentials implements [core.CredentialStore]. All are sealed anew or,
// if one does not open, none.
func (q *queries) ResealCredentials(ctx context.Context) (n int, err error) {
	action := op{name: "reseal credentials"}
	err = q.writeAll(ctx, func(tx runner) error {
		all, err := collect(ctx, tx, scanCredential, selectCredential+` ORDER BY id`)
		if err != nil {
			return err
		}
		for _, old := range all {
			c, err := q.open(old)
			if err != nil {
				action.subject = old.ID
				return err
			}
			sealed, err := q.seal(c.Secret, c.ID)
			if err != nil {
				action.subject = old.ID
				return err
			}
			if err := touch(ctx, tx, `UPDATE credentials SET sealed = $1 WHERE id = $2`, sealed, c.ID); err != nil {
				return fmt.Errorf("replace %q: %w", c.ID, err)
			}
		}
		n = len(all)
		return nil
	})
	if err != nil {
		return 0, action.fail(err)
	}
	return n, nil
}
