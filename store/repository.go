package store

import (
	"context"
	"strings"

	"github.com/headwater-git/headwater/core"
)

const noRepository = "no such repository"

// selectRepository reads repositories as scanRepository wants them.
const selectRepository = `
	SELECT r.id, r.org, CASE WHEN r.deleted_at > 0 THEN r.deleted_name ELSE r.name END, r.default_branch, r.object_format, r.version, r.created_at, r.changed_at, r.disk_bytes,
		COALESCE((SELECT p.paused_at FROM sync_states p WHERE p.repo_id = r.id), 0),
		u.repo_id IS NOT NULL, COALESCE(u.provider, ''), COALESCE(u.instance, ''), COALESCE(u.mode, ''),
		COALESCE(u.host, ''), COALESCE(u.owner, ''), COALESCE(u.name, ''), COALESCE(u.upstream_id, ''),
		COALESCE(u.url, ''), COALESCE(u.default_branch, ''), r.deleted_at, r.kept_until
	FROM repositories r LEFT JOIN upstreams u ON u.repo_id = r.id`

func scanRepository(row scanner) (r core.Repository, err error) {
	var synced bool
	var u core.Upstream
	err = row.Scan(&r.ID, &r.Org, &r.Name, &r.DefaultBranch, &r.ObjectFormat, &r.Version, timeColumn{&r.CreatedAt},
		timeColumn{&r.ChangedAt}, &r.DiskBytes, timeColumn{&r.PausedAt}, &synced, &u.Provider, &u.Instance, &u.Mode, &u.Host, &u.Owner, &u.Name, &u.ID, &u.URL, &u.DefaultBranch,
		timeColumn{&r.DeletedAt}, timeColumn{&r.KeptUntil})
	if synced {
		r.Upstream = &u
	}
	return r, err
}

// CreateRepository implements [core.RepositoryStore]. KindNotFound: no such
// organisation.
func (q *queries) CreateRepository(ctx context.Context, r core.Repository) error {
	action := op{name: "create repository", subject: r.Name, missing: "no such organisation", taken: "a repository of this name exists already"}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		if err := openOrg(ctx, tx, r.Org); err != nil {
			return err
		}
		if err := takeName(ctx, tx, r.Org, r.Name); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO repositories (id, org, name, search_name, default_branch, object_format, version, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			r.ID, r.Org, r.Name, strings.ToLower(r.Name), r.DefaultBranch, r.ObjectFormat, r.Version, micros(r.CreatedAt)); err != nil {
			return err
		}
		if r.Upstream == nil {
			return nil
		}
		return attach(ctx, tx, r.ID, *r.Upstream)
	}))
}

// Repository implements [core.RepositoryStore].
func (q *queries) Repository(ctx context.Context, org, name string) (core.Repository, error) {
	r, err := scanRepository(q.read.QueryRowContext(ctx, selectRepository+` WHERE r.org = $1 AND r.name = $2 AND r.deleted_at = 0`, org, name))
	return r, op{name: "read repository", subject: name, missing: noRepository}.fail(err)
}

// RepositoryByID implements [core.RepositoryStore].
func (q *queries) RepositoryByID(ctx context.Context, id string) (core.Repository, error) {
	r, err := scanRepository(q.read.QueryRowContext(ctx, selectRepository+` WHERE r.id = $1 AND r.deleted_at = 0`, id))
	return r, op{name: "read repository", subject: id, missing: noRepository}.fail(err)
}

// containing returns the LIKE pattern, with escape character "!", of names
// that contain s in whatever case; "" for an empty s.
func containing(s string) string {
	if s == "" {
		return ""
	}
	// Not the backslash, which PostgreSQL and SQLite treat differently in literals.
	escape := strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")
	return "%" + escape.Replace(strings.ToLower(s)) + "%"
}

// RepositoryIDs implements [core.RepositoryStore].
func (q *queries) RepositoryIDs(ctx context.Context) ([]string, error) {
	all, err := collect(ctx, q.read, scanString, `SELECT id FROM repositories WHERE deleted_at = 0 ORDER BY id`)
	return all, op{name: "list repository ids"}.fail(err)
}

// SetDefaultBranch implements [core.RepositoryStore].
func (q *queries) SetDefaultBranch(ctx context.Context, id, branch string) error {
	return q.exec(ctx, op{name: "set default branch", subject: id, missing: noRepository}, `
		UPDATE repositories SET default_branch = $1 WHERE id = $2`, branch, id)
}

// SetObjectFormat implements [core.RepositoryStore].
func (q *queries) SetObjectFormat(ctx context.Context, id, format string) error {
	return q.exec(ctx, op{name: "set object format", subject: id, missing: noRepository}, `
		UPDATE repositories SET object_format = $1 WHERE id = $2`, format, id)
}

// BumpVersion implements [core.RepositoryStore].
func (q *queries) BumpVersion(ctx context.Context, id string) (version int64, err error) {
	err = q.write(ctx, func(tx runner) error {
		return tx.QueryRowContext(ctx, `
			UPDATE repositories SET version = version + 1, changed_at = $2 WHERE id = $1 RETURNING version`, id, micros(q.clock.Now())).Scan(&version)
	})
	return version, op{name: "bump version", subject: id, missing: noRepository}.fail(err)
}

// DeleteRepository implements [core.RepositoryStore]. Foreign keys take along
// what hangs on the repository.
func (q *queries) DeleteRepository(ctx context.Context, id string) error {
	return q.exec(ctx, op{name: "delete repository", subject: id, missing: noRepository}, `
		DELETE FROM repositories WHERE id = $1`, id)
}
