package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
)

const noUpstream = "the repository has no upstream"

// searchPath returns owner and name as RepositoriesOf looks for them. An owner
// and the prefix of its paths are made alike.
func searchPath(parts ...string) string {
	var known []string
	for _, p := range parts {
		if p = strings.Trim(p, "/"); p != "" {
			known = append(known, strings.ToLower(p))
		}
	}
	return strings.Join(known, "/")
}

// attach inserts upstream link and sync state of a repository.
func attach(ctx context.Context, tx runner, repoID string, u core.Upstream) error {
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO upstreams (repo_id, provider, instance, mode, host, owner, name, upstream_id, url, default_branch, search_path)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		repoID, u.Provider, u.Instance, u.Mode, u.Host, u.Owner, u.Name, u.ID, u.URL, u.DefaultBranch,
		searchPath(u.Owner, u.Name)); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO sync_states (repo_id, wanted, served, wanted_ref, taken, taken_ref, cause, next_attempt_at, failures, runs,
			first_synced_at, last_success_at, last_error_at, last_class, last_error, digest, brake_digest,
			observed_at, changed_at, poll_at, upstream_state, upstream_since)
		VALUES ($1, 0, 0, '', 0, '', '', 0, 0, 0, 0, 0, 0, '', '', '', '', 0, 0, 0, '', 0)`, repoID)
	return err
}

// AttachUpstream implements [core.UpstreamStore]. KindNotFound: no such
// repository.
func (q *queries) AttachUpstream(ctx context.Context, repoID string, up core.Upstream) error {
	action := op{name: "attach upstream", subject: repoID, missing: noRepository, taken: "the repository has an upstream already"}
	return action.fail(q.writeAll(ctx, func(tx runner) error { return attach(ctx, tx, repoID, up) }))
}

// MoveUpstream implements [core.UpstreamStore]. KindNotFound: the repository
// has no upstream.
func (q *queries) MoveUpstream(ctx context.Context, repoID string, up core.Upstream) error {
	return q.exec(ctx, op{name: "move upstream", subject: repoID, missing: noUpstream}, `
		UPDATE upstreams SET provider = $1, instance = $2, mode = $3, host = $4, owner = $5, name = $6, upstream_id = $7,
			url = $8, default_branch = $9, search_path = $10,
			visibility = CASE WHEN upstream_id <> '' AND upstream_id = $7 AND host = $4 THEN visibility ELSE '' END
		WHERE repo_id = $11`,
		up.Provider, up.Instance, up.Mode, up.Host, up.Owner, up.Name, up.ID, up.URL, up.DefaultBranch,
		searchPath(up.Owner, up.Name), repoID)
}

// SetUpstreamState implements [core.UpstreamStore]. KindNotFound: the
// repository has no upstream.
func (q *queries) SetUpstreamState(ctx context.Context, repoID string, s core.UpstreamState, since time.Time) (changed bool, err error) {
	err = q.writeAll(ctx, func(tx runner) error {
		err := touch(ctx, tx, `
			UPDATE sync_states SET upstream_state = $1, upstream_since = $2 WHERE repo_id = $3 AND upstream_state <> $1`,
			s, micros(since), repoID)
		if changed = err == nil; changed || !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		var known string
		return tx.QueryRowContext(ctx, `SELECT repo_id FROM sync_states WHERE repo_id = $1`, repoID).Scan(&known)
	})
	return changed, op{name: "set upstream state", subject: repoID, missing: noUpstream}.fail(err)
}

// Visibility implements [core.UpstreamStore]. KindNotFound: the repository has no
// upstream.
func (q *queries) Visibility(ctx context.Context, repoID string) (v core.Visibility, err error) {
	err = q.read.QueryRowContext(ctx, `SELECT visibility FROM upstreams WHERE repo_id = $1`, repoID).Scan(&v)
	return v, op{name: "read the visibility of an upstream", subject: repoID, missing: noUpstream}.fail(err)
}

// SetVisibility implements [core.UpstreamStore]. KindNotFound: the repository has no
// upstream.
func (q *queries) SetVisibility(ctx context.Context, repoID string, v core.Visibility) (changed bool, err error) {
	err = q.writeAll(ctx, func(tx runner) error {
		var was core.Visibility
		if err := tx.QueryRowContext(ctx, `SELECT visibility FROM upstreams WHERE repo_id = $1`, repoID).Scan(&was); err != nil {
			return err
		}
		if changed = was != v; !changed {
			return nil
		}
		return touch(ctx, tx, `UPDATE upstreams SET visibility = $1 WHERE repo_id = $2`, v, repoID)
	})
	return changed, op{name: "record the visibility of an upstream", subject: repoID, missing: noUpstream}.fail(err)
}

// PinDefaultBranch implements [core.RepositoryStore].
func (q *queries) PinDefaultBranch(ctx context.Context, id, branch string) error {
	return q.exec(ctx, op{name: "pin default branch", subject: id, missing: noUpstream}, `
		UPDATE upstreams SET default_branch = $1 WHERE repo_id = $2`, branch, id)
}

// DetachUpstream implements [core.RepositoryStore]. KindNotFound: there is no
// such repository at all. Its runs, journal and rewrites stay; inbound webhook
// and expectations go with the link.
func (q *queries) DetachUpstream(ctx context.Context, id string) error {
	action := op{name: "detach upstream", subject: id, missing: noRepository}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		var found string
		if err := tx.QueryRowContext(ctx, `SELECT id FROM repositories WHERE id = $1`, id).Scan(&found); err != nil {
			return err
		}
		for _, statement := range []string{
			`DELETE FROM credentials WHERE repo_id = $1`,
			`DELETE FROM credential_uses WHERE repo_id = $1`,
			`DELETE FROM sync_states WHERE repo_id = $1`,
			`DELETE FROM upstreams WHERE repo_id = $1`,
		} {
			if _, err := tx.ExecContext(ctx, statement, id); err != nil {
				return err
			}
		}
		return nil
	}))
}

// SetUpstreamID implements [core.RepositoryStore]. KindNotFound: the
// repository has no upstream.
func (q *queries) SetUpstreamID(ctx context.Context, id, upstreamID string) error {
	return q.exec(ctx, op{name: "set upstream id", subject: id, missing: noUpstream}, `
		UPDATE upstreams SET upstream_id = $1 WHERE repo_id = $2`, upstreamID, id)
}

// RepositoriesOf implements [core.InboundStore]. They come in the order of
// their ids.
func (q *queries) RepositoriesOf(ctx context.Context, instance, host, id, path string) ([]core.Repository, error) {
	query, key := selectRepository+` WHERE u.instance = $1 AND u.search_path = $2 AND r.deleted_at = 0`+onHost, searchPath(path)
	if id != "" {
		// The second condition is what the index of ids has.
		query, key = selectRepository+` WHERE u.instance = $1 AND u.upstream_id = $2 AND u.upstream_id <> '' AND r.deleted_at = 0`+onHost, id
	}
	all, err := collect(ctx, q.read, scanRepository, query, instance, key, strings.ToLower(host))
	return all, op{name: "list repositories of an upstream", subject: path}.fail(err)
}

// RepositoriesUnder implements [core.InboundStore]. Those of groups below the
// owner count. They come in the order of their ids; an empty owner has none.
func (q *queries) RepositoriesUnder(ctx context.Context, instance, host, owner string) ([]core.Repository, error) {
	path := searchPath(owner)
	if path == "" {
		return nil, nil
	}
	// "0" is the character after "/": between them are all paths that go on
	// after the owner with a slash.
	all, err := collect(ctx, q.read, scanRepository, selectRepository+`
		WHERE u.instance = $1 AND u.search_path > $2 AND u.search_path < $4 AND r.deleted_at = 0`+onHost,
		instance, path+"/", strings.ToLower(host), path+"0")
	return all, op{name: "list repositories under an owner", subject: owner}.fail(err)
}

// onHost is how RepositoriesOf and RepositoriesUnder end; hosts are ASCII.
const onHost = ` AND ($3 = '' OR lower(u.host) = $3) ORDER BY r.id`

// RecordUpstreamFailure implements [core.UpstreamStore].
func (q *queries) RecordUpstreamFailure(ctx context.Context, repoID string, at time.Time, class core.ErrorClass, text string) error {
	return q.exec(ctx, op{name: "record upstream failure", subject: repoID, missing: noSyncState}, `
		UPDATE sync_states SET last_error_at = $1, last_class = $2, last_error = $3, failures = CASE WHEN failures = 0 THEN 1 ELSE failures END WHERE repo_id = $4`,
		micros(at), class, text, repoID)
}

// MarkSynced implements [core.UpstreamStore].
func (q *queries) MarkSynced(ctx context.Context, repoID string, at time.Time) error {
	return q.exec(ctx, op{name: "mark synced", subject: repoID, missing: noSyncState}, `
		UPDATE sync_states SET first_synced_at = $1 WHERE repo_id = $2`, micros(at), repoID)
}

// ResetUpstream implements [core.UpstreamStore].
func (q *queries) ResetUpstream(ctx context.Context, repoID string, at time.Time) error {
	return q.exec(ctx, op{name: "reset upstream state", subject: repoID, missing: noSyncState}, `
		UPDATE sync_states SET
			wanted_ref = CASE WHEN taken > served THEN '' ELSE wanted_ref END,
			taken = 0, taken_ref = '', next_attempt_at = 0, failures = 0,
			last_success_at = 0, last_error_at = 0, last_class = '', last_error = '',
			digest = '', brake_digest = '', brake_since = 0, observed_at = 0, poll_at = 0, skipped_refs = 'null',
			upstream_since = CASE WHEN upstream_state = '' THEN upstream_since ELSE $1 END, upstream_state = ''
		WHERE repo_id = $2`, micros(at), repoID)
}
