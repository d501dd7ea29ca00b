package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

const noSharedCredential = "no such shared credential"

// Places for sealing.
func sharedPlace(id string) string   { return "shared-credential:" + id }
func previousPlace(id string) string { return "previous-credential:" + id }

const selectShared = `
	SELECT c.id, c.org, c.name, c.provider, c.instance, c.host, c.owner, c.username, c.expires_at, c.checked_at, c.check_error,
		c.created_at, c.updated_at, c.sealed, (SELECT count(*) FROM credential_uses u JOIN repositories r ON r.id = u.repo_id WHERE u.credential_id = c.id AND r.deleted_at = 0),
		p.username, p.sealed, p.until
	FROM shared_credentials c LEFT JOIN previous_credentials p ON p.credential_id = c.id`

// sealedShared is a row, its secrets still sealed.
type sealedShared struct {
	core.SharedCredential
	sealed, before []byte
	username       sql.NullString
	until          sql.NullInt64
}

func scanShared(row scanner) (c sealedShared, err error) {
	err = row.Scan(&c.ID, &c.Org, &c.Name, &c.Provider, &c.Instance, &c.Host, &c.Owner, &c.Username, timeColumn{&c.ExpiresAt},
		timeColumn{&c.CheckedAt}, &c.CheckError, timeColumn{&c.CreatedAt}, timeColumn{&c.UpdatedAt}, &c.sealed, &c.UsedByCount,
		&c.username, &c.before, &c.until)
	return c, err
}

// openShared returns the credential with its secrets in the clear.
func (q *queries) openShared(c sealedShared) (core.SharedCredential, error) {
	secret, err := q.open(c.sealed, sharedPlace(c.ID))
	if err != nil {
		return core.SharedCredential{}, err
	}
	c.Secret = providers.Secret(secret)
	if until := timeOf(c.until.Int64); c.until.Valid && until.After(q.clock.Now()) {
		before, err := q.open(c.before, previousPlace(c.ID))
		if err != nil {
			return core.SharedCredential{}, err
		}
		c.Previous = &core.PreviousCredential{Username: c.username.String, Secret: providers.Secret(before), Until: until}
	}
	return c.SharedCredential, nil
}

// CreateSharedCredential implements [core.SharedCredentialStore].
func (q *queries) CreateSharedCredential(ctx context.Context, c core.SharedCredential) error {
	action := op{name: "create shared credential", subject: c.Name, missing: "no such organisation", taken: "the organisation has a shared credential of this name already"}
	sealed, err := q.seal(c.Secret.Reveal(), sharedPlace(c.ID))
	if err != nil {
		return action.fail(err)
	}
	return q.exec(ctx, action, `
		INSERT INTO shared_credentials (id, org, name, provider, instance, host, owner, owner_path, username, sealed,
			expires_at, checked_at, check_error, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		c.ID, c.Org, c.Name, c.Provider, c.Instance, strings.ToLower(c.Host), c.Owner, strings.ToLower(c.Owner), c.Username, sealed,
		micros(c.ExpiresAt), micros(c.CheckedAt), c.CheckError, micros(c.CreatedAt), micros(c.UpdatedAt))
}

// UpdateSharedCredential implements [core.SharedCredentialStore].
func (q *queries) UpdateSharedCredential(ctx context.Context, c core.SharedCredential) error {
	action := op{name: "update shared credential", subject: c.Name, missing: noSharedCredential}
	sealed, err := q.seal(c.Secret.Reveal(), sharedPlace(c.ID))
	if err != nil {
		return action.fail(err)
	}
	var before []byte
	if c.Previous != nil {
		if before, err = q.seal(c.Previous.Secret.Reveal(), previousPlace(c.ID)); err != nil {
			return action.fail(err)
		}
	}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		if err := touch(ctx, tx, `
			UPDATE shared_credentials SET username = $1, sealed = $2, expires_at = $3, checked_at = $4, check_error = $5, updated_at = $6
			WHERE id = $7`,
			c.Username, sealed, micros(c.ExpiresAt), micros(c.CheckedAt), c.CheckError, micros(c.UpdatedAt), c.ID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM previous_credentials WHERE credential_id = $1`, c.ID); err != nil || c.Previous == nil {
			return err
		}
		return touch(ctx, tx, `INSERT INTO previous_credentials (credential_id, username, sealed, until) VALUES ($1, $2, $3, $4)`,
			c.ID, c.Previous.Username, before, micros(c.Previous.Until))
	}))
}

// RecordCredentialCheck implements [core.SharedCredentialStore].
func (q *queries) RecordCredentialCheck(ctx context.Context, asked core.SharedCredential) error {
	return q.exec(ctx, op{name: "record credential check", subject: asked.Name, missing: noSharedCredential}, `
		UPDATE shared_credentials SET expires_at = $1, checked_at = $2, check_error = $3 WHERE id = $4 AND updated_at = $5`,
		micros(asked.ExpiresAt), micros(asked.CheckedAt), asked.CheckError, asked.ID, micros(asked.UpdatedAt))
}

// DeleteSharedCredential implements [core.SharedCredentialStore].
func (q *queries) DeleteSharedCredential(ctx context.Context, id string) error {
	action := op{name: "delete shared credential", subject: id, missing: noSharedCredential}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		var used int
		if err := tx.QueryRowContext(ctx, `
			SELECT count(*) FROM credential_uses u JOIN repositories r ON r.id = u.repo_id WHERE u.credential_id = $1 AND r.deleted_at = 0`, id).Scan(&used); err != nil {
			return err
		}
		if used > 0 {
			return core.Errorf(core.KindConflict, "repositories use the credential: assign another one to them, or none, first")
		}
		// Only deleted ones are left. Should one come back, it says that it has none.
		if _, err := tx.ExecContext(ctx, `DELETE FROM credential_uses WHERE credential_id = $1`, id); err != nil {
			return err
		}
		return touch(ctx, tx, `DELETE FROM shared_credentials WHERE id = $1`, id)
	}))
}

// SharedCredential implements [core.SharedCredentialStore]. KindInternal also if the
// secret does not open.
func (q *queries) SharedCredential(ctx context.Context, org, nameOrID string) (core.SharedCredential, error) {
	action := op{name: "read shared credential", subject: nameOrID, missing: noSharedCredential}
	sealed, err := scanShared(q.read.QueryRowContext(ctx, selectShared+` WHERE c.org = $1 AND (c.name = $2 OR c.id = $2)`, org, nameOrID))
	if err != nil {
		return core.SharedCredential{}, action.fail(err)
	}
	c, err := q.openShared(sealed)
	return c, action.fail(err)
}

// SharedCredentials implements [core.SharedCredentialStore].
func (q *queries) SharedCredentials(ctx context.Context, org string) ([]core.SharedCredential, error) {
	action := op{name: "list shared credentials", subject: org}
	rows, err := collect(ctx, q.read, scanShared, selectShared+` WHERE $1 = '' OR c.org = $1 ORDER BY c.org, c.name`, org)
	if err != nil {
		return nil, action.fail(err)
	}
	all := make([]core.SharedCredential, 0, len(rows))
	for _, row := range rows {
		c, err := q.openShared(row)
		if err != nil {
			return nil, action.fail(err)
		}
		all = append(all, c)
	}
	return all, nil
}

// AssignSharedCredential implements [core.SharedCredentialStore].
func (q *queries) AssignSharedCredential(ctx context.Context, repoID, credentialID string, at time.Time) error {
	action := op{name: "assign shared credential", subject: repoID, missing: noRepository}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		var own int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM credentials WHERE repo_id = $1`, repoID).Scan(&own); err != nil {
			return err
		}
		if own > 0 {
			return core.Errorf(core.KindConflict, "the repository has a credential of its own: delete that one first")
		}
		return touch(ctx, tx, `
			INSERT INTO credential_uses (repo_id, credential_id, assigned_at) VALUES ($1, $2, $3)
			ON CONFLICT (repo_id) DO UPDATE SET credential_id = excluded.credential_id, assigned_at = excluded.assigned_at`,
			repoID, credentialID, micros(at))
	}))
}

// UnassignSharedCredential implements [core.SharedCredentialStore].
func (q *queries) UnassignSharedCredential(ctx context.Context, repoID string) error {
	return q.exec(ctx, op{name: "unassign shared credential", subject: repoID, missing: "the repository uses no shared credential"}, `
		DELETE FROM credential_uses WHERE repo_id = $1`, repoID)
}

// SharedCredentialOf implements [core.SharedCredentialStore].
func (q *queries) SharedCredentialOf(ctx context.Context, repoID string) (core.SharedCredential, error) {
	c, err := scanShared(q.read.QueryRowContext(ctx, selectShared+` WHERE c.id = (SELECT credential_id FROM credential_uses WHERE repo_id = $1)`, repoID))
	return c.SharedCredential, op{name: "read shared credential of repository", subject: repoID, missing: noSharedCredential}.fail(err)
}

// RepositoriesWith implements [core.SharedCredentialStore].
func (q *queries) RepositoriesWith(ctx context.Context, credentialID string) ([]core.Repository, error) {
	all, err := collect(ctx, q.read, scanRepository, selectRepository+`
		JOIN credential_uses x ON x.repo_id = r.id WHERE x.credential_id = $1 AND r.deleted_at = 0 ORDER BY r.id`, credentialID)
	return all, op{name: "list repositories of a credential", subject: credentialID}.fail(err)
}

// sharedCredential returns the shared credential that a repository uses, as if it were
// the repository's own, if it covers the upstream: this is the one place where the
// secret leaves for an upstream, so the binding is checked here, at each reading.
func (q *queries) sharedCredential(ctx context.Context, repoID string) (core.Credential, error) {
	row, err := scanShared(q.read.QueryRowContext(ctx, selectShared+`
		JOIN credential_uses x ON x.credential_id = c.id WHERE x.repo_id = $1`, repoID))
	if err != nil {
		return core.Credential{}, err
	}
	r, err := scanRepository(q.read.QueryRowContext(ctx, selectRepository+` WHERE r.id = $1`, repoID))
	if err != nil {
		return core.Credential{}, err
	}
	if r.Upstream == nil || r.Org != row.Org || !row.Covers(*r.Upstream) {
		return core.Credential{}, sql.ErrNoRows
	}
	c, err := q.openShared(row)
	if err != nil {
		return core.Credential{}, err
	}
	return core.Credential{
		ID: c.ID, RepoID: repoID, Username: c.Username, Host: r.Upstream.Host, Secret: c.Secret, Shared: c.Name, Previous: c.Previous,
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	}, nil
}

// CredentialByRepo implements [core.CredentialStore]. KindInternal also if the
// secret does not open.
func (q *queries) CredentialByRepo(ctx context.Context, repoID string) (core.Credential, error) {
	c, err := q.credential(ctx, repoID, selectCredential+` WHERE repo_id = $1`)
	if core.KindOf(err) != core.KindNotFound {
		return c, err
	}
	shared, sharedErr := q.sharedCredential(ctx, repoID)
	if errors.Is(sharedErr, sql.ErrNoRows) {
		return core.Credential{}, err
	}
	return shared, op{name: "read credential", subject: repoID, missing: noCredential}.fail(sharedErr)
}
