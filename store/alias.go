package store

import (
	"context"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
)

// RenameRepository implements [core.AliasStore].
func (q *queries) RenameRepository(ctx context.Context, id, name string, at time.Time) error {
	action := op{name: "rename repository", subject: name, missing: noRepository, taken: "a repository of this name exists already"}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		var org, former string
		if err := tx.QueryRowContext(ctx, `SELECT org, name FROM repositories WHERE id = $1 AND deleted_at = 0`, id).Scan(&org, &former); err != nil || former == name {
			return err
		}
		var others int
		if err := tx.QueryRowContext(ctx, `
			SELECT count(*) FROM repository_aliases a JOIN repositories r ON r.id = a.repo_id
			WHERE a.org = $1 AND a.name = $2 AND a.repo_id <> $3 AND r.deleted_at = 0`, org, name, id).Scan(&others); err != nil {
			return err
		}
		if others > 0 {
			return core.Errorf(core.KindConflict, "another repository had this name, and who knows it by it still reaches it so: choose another one")
		}
		if err := takeName(ctx, tx, org, name); err != nil {
			return err
		}
		if err := touch(ctx, tx, `UPDATE repositories SET name = $1, search_name = $2 WHERE id = $3`, name, strings.ToLower(name), id); err != nil {
			return err
		}
		return touch(ctx, tx, `
			INSERT INTO repository_aliases (org, name, repo_id, created_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (org, name) DO UPDATE SET repo_id = excluded.repo_id, created_at = excluded.created_at`, org, former, id, micros(at))
	}))
}

// takeName ends an alias, since a repository has the name from now on.
func takeName(ctx context.Context, tx runner, org, name string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM repository_aliases WHERE org = $1 AND name = $2`, org, name)
	return err
}

// RepositoryByAlias implements [core.AliasStore].
func (q *queries) RepositoryByAlias(ctx context.Context, org, name string) (core.Repository, error) {
	r, err := scanRepository(q.read.QueryRowContext(ctx, selectRepository+`
		WHERE r.id = (SELECT a.repo_id FROM repository_aliases a WHERE a.org = $1 AND a.name = $2) AND r.deleted_at = 0`, org, name))
	return r, op{name: "read repository", subject: name, missing: noRepository}.fail(err)
}

// RepositoriesOfAnyOrg implements [core.AliasStore]. KindInvalid: the limit is not positive.
func (q *queries) RepositoriesOfAnyOrg(ctx context.Context, name string, limit int) ([]core.Repository, error) {
	action := op{name: "look for repositories of a name", subject: name}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	all, err := collect(ctx, q.read, scanRepository, selectRepository+`
		WHERE r.id IN (SELECT n.id FROM repositories n WHERE n.name = $1 UNION SELECT a.repo_id FROM repository_aliases a WHERE a.name = $1)
			AND r.deleted_at = 0 LIMIT $2`, name, limit)
	return all, action.fail(err)
}

// Aliases implements [core.AliasStore].
func (q *queries) Aliases(ctx context.Context, id string) ([]string, error) {
	all, err := collect(ctx, q.read, scanString, `SELECT name FROM repository_aliases WHERE repo_id = $1 ORDER BY created_at, name`, id)
	return all, op{name: "list former names", subject: id}.fail(err)
}
