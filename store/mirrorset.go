package store

import (
	"context"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
)

const noMirrorSet = "no such mirror set"

const selectMirrorSet = `
	SELECT id, org, provider, public, host, owner, prefix, include, exclude, archived, forks, credential_id, follow,
		next_look_at, looked_at, failures, last_error, created_at, updated_at
	FROM mirror_sets`

func scanMirrorSet(row scanner) (s core.MirrorSet, err error) {
	err = row.Scan(&s.ID, &s.Org, &s.Provider, &s.Public, &s.Host, &s.Owner, &s.Prefix, jsonColumn{&s.Include}, jsonColumn{&s.Exclude},
		&s.Archived, &s.Forks, &s.CredentialID, &s.Follow, timeColumn{&s.NextLookAt}, timeColumn{&s.LookedAt}, &s.Failures, &s.LastError,
		timeColumn{&s.CreatedAt}, timeColumn{&s.UpdatedAt})
	return s, err
}

// SaveMirrorSet implements [core.MirrorSetStore]. KindNotFound: no such organisation.
func (q *queries) SaveMirrorSet(ctx context.Context, s core.MirrorSet) (core.MirrorSet, error) {
	action := op{name: "save mirror set", subject: s.Owner, missing: "no such organisation"}
	include, err := encode(s.Include)
	if err != nil {
		return core.MirrorSet{}, action.fail(err)
	}
	exclude, err := encode(s.Exclude)
	if err != nil {
		return core.MirrorSet{}, action.fail(err)
	}
	err = q.writeAll(ctx, func(tx runner) error {
		if err := touch(ctx, tx, `
			INSERT INTO mirror_sets (id, org, provider, public, host, owner, owner_path, prefix, include, exclude, archived, forks,
				credential_id, follow, next_look_at, looked_at, failures, last_error, created_at, updated_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 0, 0, '', $16, $16)
			ON CONFLICT (org, host, owner_path) DO UPDATE SET provider = excluded.provider, public = excluded.public, prefix = excluded.prefix,
				include = excluded.include, exclude = excluded.exclude, archived = excluded.archived, forks = excluded.forks,
				credential_id = excluded.credential_id, follow = excluded.follow, next_look_at = excluded.next_look_at, looked_at = 0,
				failures = 0, last_error = '', updated_at = excluded.updated_at`,
			s.ID, s.Org, s.Provider, bit(s.Public), strings.ToLower(s.Host), s.Owner, strings.ToLower(s.Owner), s.Prefix, include, exclude,
			bit(s.Archived), bit(s.Forks), s.CredentialID, bit(s.Follow), micros(s.NextLookAt), micros(s.UpdatedAt)); err != nil {
			return err
		}
		s, err = scanMirrorSet(tx.QueryRowContext(ctx, selectMirrorSet+` WHERE org = $1 AND host = $2 AND owner_path = $3`,
			s.Org, strings.ToLower(s.Host), strings.ToLower(s.Owner)))
		return err
	})
	return s, action.fail(err)
}

// MirrorSet implements [core.MirrorSetStore].
func (q *queries) MirrorSet(ctx context.Context, org, id string) (core.MirrorSet, error) {
	s, err := scanMirrorSet(q.read.QueryRowContext(ctx, selectMirrorSet+` WHERE org = $1 AND id = $2`, org, id))
	return s, op{name: "read mirror set", subject: id, missing: noMirrorSet}.fail(err)
}

// MirrorSets implements [core.MirrorSetStore].
func (q *queries) MirrorSets(ctx context.Context, org string) ([]core.MirrorSet, error) {
	all, err := collect(ctx, q.read, scanMirrorSet, selectMirrorSet+` WHERE org = $1 ORDER BY host, owner_path`, org)
	return all, op{name: "list mirror sets", subject: org}.fail(err)
}

// DueMirrorSets implements [core.MirrorSetStore].
func (q *queries) DueMirrorSets(ctx context.Context, now time.Time) ([]core.MirrorSet, error) {
	all, err := collect(ctx, q.read, scanMirrorSet, selectMirrorSet+` WHERE next_look_at > 0 AND next_look_at <= $1 ORDER BY next_look_at`, micros(now))
	return all, op{name: "list mirror sets that are due"}.fail(err)
}

// NextMirrorLook implements [core.MirrorSetStore].
func (q *queries) NextMirrorLook(ctx context.Context) (at time.Time, err error) {
	err = q.read.QueryRowContext(ctx, `SELECT COALESCE(min(next_look_at), 0) FROM mirror_sets WHERE next_look_at > 0`).Scan(timeColumn{&at})
	return at, op{name: "read next look"}.fail(err)
}

// RecordMirrorLook implements [core.MirrorSetStore]. A set whose wish was replaced
// meanwhile keeps its time of the next look.
func (q *queries) RecordMirrorLook(ctx context.Context, s core.MirrorSet) error {
	return q.exec(ctx, op{name: "record look", subject: s.ID, missing: noMirrorSet}, `
		UPDATE mirror_sets SET looked_at = $1, failures = $2, last_error = $3,
			next_look_at = CASE WHEN updated_at = $4 THEN $5 ELSE next_look_at END
		WHERE id = $6`,
		micros(s.LookedAt), s.Failures, s.LastError, micros(s.UpdatedAt), micros(s.NextLookAt), s.ID)
}

// DeleteMirrorSet implements [core.MirrorSetStore].
func (q *queries) DeleteMirrorSet(ctx context.Context, org, id string) error {
	return q.exec(ctx, op{name: "delete mirror set", subject: id, missing: noMirrorSet}, `
		DELETE FROM mirror_sets WHERE org = $1 AND id = $2`, org, id)
}

// SaveMirrorEntry implements [core.MirrorSetStore]. KindNotFound: no such set.
func (q *queries) SaveMirrorEntry(ctx context.Context, e core.MirrorEntry) error {
	return q.exec(ctx, op{name: "save mirror entry", subject: e.Path, missing: noMirrorSet}, `
		INSERT INTO mirror_set_entries (set_id, upstream_id, path, name, repo_id, action, reason, seen_at, gone_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (set_id, upstream_id) DO UPDATE SET path = excluded.path, name = excluded.name, repo_id = excluded.repo_id,
			action = excluded.action, reason = excluded.reason, seen_at = excluded.seen_at, gone_at = excluded.gone_at`,
		e.SetID, e.UpstreamID, e.Path, e.Name, e.RepoID, e.Action, e.Reason, micros(e.SeenAt), micros(e.GoneAt))
}

// MirrorEntries implements [core.MirrorSetStore].
func (q *queries) MirrorEntries(ctx context.Context, setID string) ([]core.MirrorEntry, error) {
	all, err := collect(ctx, q.read, func(row scanner) (e core.MirrorEntry, err error) {
		err = row.Scan(&e.SetID, &e.UpstreamID, &e.Path, &e.Name, &e.RepoID, &e.Action, &e.Reason, timeColumn{&e.SeenAt}, timeColumn{&e.GoneAt},
			&e.Exists, &e.Ready, &e.Failures, &e.LastClass, &e.LastError)
		return e, err
	}, `
		SELECT e.set_id, e.upstream_id, e.path, e.name, e.repo_id, e.action, e.reason, e.seen_at, e.gone_at,
			r.id IS NOT NULL, COALESCE(s.first_synced_at, 0) > 0, COALESCE(s.failures, 0), COALESCE(s.last_class, ''), COALESCE(s.last_error, '')
		FROM mirror_set_entries e LEFT JOIN repositories r ON r.id = e.repo_id AND r.deleted_at = 0 LEFT JOIN sync_states s ON s.repo_id = e.repo_id
		WHERE e.set_id = $1 ORDER BY e.path`, setID)
	return all, op{name: "list mirror entries", subject: setID}.fail(err)
}
