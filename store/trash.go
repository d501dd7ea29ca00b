package store

import (
	"context"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
)

// trashName is before the id in the name of a deleted repository: a part of a path that
// no name may have.
const trashName = ".git/"

const notInTrash = "no such repository is in the trash"

// TrashRepository implements [core.TrashStore].
func (q *queries) TrashRepository(ctx context.Context, id string, at, until time.Time) error {
	action := op{name: "delete repository", subject: id, missing: noRepository}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		if err := touch(ctx, tx, `
			UPDATE repositories SET deleted_name = name, name = $1, deleted_at = $2, kept_until = $3 WHERE id = $4 AND deleted_at = 0`,
			trashName+id, micros(at), micros(until), id); err != nil {
			return err
		}
		for _, statement := range []string{
			`UPDATE sync_states SET idle = 1 WHERE repo_id = $1`,
			// It is removed at the host, too; a new address is made when it comes back.
			`DELETE FROM inbound_webhooks WHERE repo_id = $1`,
			`DELETE FROM expectations WHERE repo_id = $1`,
		} {
			if _, err := tx.ExecContext(ctx, statement, id); err != nil {
				return err
			}
		}
		return nil
	}))
}

// DeletedRepository implements [core.TrashStore].
func (q *queries) DeletedRepository(ctx context.Context, org, nameOrID string) (core.Repository, error) {
	r, err := scanRepository(q.read.QueryRowContext(ctx, selectRepository+`
		WHERE r.org = $1 AND r.deleted_at > 0 AND (r.deleted_name = $2 OR r.id = $2) ORDER BY r.deleted_at DESC, r.id DESC LIMIT 1`, org, nameOrID))
	return r, op{name: "read deleted repository", subject: nameOrID, missing: notInTrash}.fail(err)
}

// DeletedRepositoryByID implements [core.TrashStore].
func (q *queries) DeletedRepositoryByID(ctx context.Context, id string) (core.Repository, error) {
	r, err := scanRepository(q.read.QueryRowContext(ctx, selectRepository+` WHERE r.id = $1 AND r.deleted_at > 0`, id))
	return r, op{name: "read deleted repository", subject: id, missing: notInTrash}.fail(err)
}

// DeletedRepositories implements [core.TrashStore].
func (q *queries) DeletedRepositories(ctx context.Context, org string) ([]core.Repository, error) {
	all, err := collect(ctx, q.read, scanRepository, selectRepository+` WHERE r.deleted_at > 0 AND ($1 = '' OR r.org = $1) ORDER BY r.id`, org)
	return all, op{name: "list deleted repositories", subject: org}.fail(err)
}

// UndeleteRepository implements [core.TrashStore].
func (q *queries) UndeleteRepository(ctx context.Context, id, name string) error {
	action := op{name: "undelete repository", subject: name, missing: notInTrash, taken: "a repository of this name exists already"}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		if err := touch(ctx, tx, `
			UPDATE repositories SET name = $1, search_name = $2, deleted_name = '', deleted_at = 0, kept_until = 0 WHERE id = $3 AND deleted_at > 0`,
			name, strings.ToLower(name), id); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			DELETE FROM repository_aliases WHERE name = $1 AND org = (SELECT org FROM repositories WHERE id = $2)`, name, id); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `UPDATE sync_states SET idle = CASE WHEN paused_at > 0 THEN 1 ELSE 0 END WHERE repo_id = $1`, id)
		return err
	}))
}

// ExpiredRepositories implements [core.TrashStore].
func (q *queries) ExpiredRepositories(ctx context.Context, now time.Time, limit int) ([]core.Repository, error) {
	action := op{name: "list expired repositories"}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	all, err := collect(ctx, q.read, scanRepository, selectRepository+`
		WHERE r.deleted_at > 0 AND r.kept_until <= $1 ORDER BY r.kept_until LIMIT $2`, micros(now), limit)
	return all, action.fail(err)
}

// FolderIDs implements [core.TrashStore].
func (q *queries) FolderIDs(ctx context.Context) ([]string, error) {
	all, err := collect(ctx, q.read, scanString, `SELECT id FROM repositories ORDER BY id`)
	return all, op{name: "list repository ids"}.fail(err)
}
