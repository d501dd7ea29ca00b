package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/headwater-git/headwater/core"
)

func scanLFSObject(row scanner) (o core.LFSObject, err error) {
	err = row.Scan(&o.OID, &o.Size)
	return o, err
}

func scanLFSLock(row scanner) (l core.LFSLock, err error) {
	err = row.Scan(&l.RepoID, &l.ID, &l.Path, &l.Ref, &l.Owner, timeColumn{&l.LockedAt})
	return l, err
}

// oneOf is the condition that the column oid is in a list, whose parameter is an array
// of JSON: such a query is the same for lists of any length, and uses the column's
// index. json_each is SQLite's; a migration gives PostgreSQL one that does the same.
func oneOf(param string) string { return `oid IN (SELECT value FROM json_each(` + param + `))` }

// array returns texts as a parameter of [oneOf].
func array(all []string) string {
	text, err := json.Marshal(append([]string{}, all...))
	if err != nil {
		return "[]" // texts can always be encoded
	}
	return string(text)
}

// AddLFSObjects implements [core.LFSStore].
func (q *queries) AddLFSObjects(ctx context.Context, repoID string, objects []core.LFSObject, at time.Time) error {
	action := op{name: "add LFS objects", subject: repoID, missing: noRepository}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		for _, o := range objects {
			_, err := tx.ExecContext(ctx, `
				INSERT INTO lfs_objects (repo_id, oid, size, added_at) VALUES ($1, $2, $3, $4)
				ON CONFLICT (repo_id, oid) DO UPDATE SET added_at = excluded.added_at`, repoID, o.OID, o.Size, micros(at))
			if err == nil {
				_, err = tx.ExecContext(ctx, `DELETE FROM lfs_unused WHERE oid = $1`, o.OID)
			}
			if err == nil {
				_, err = tx.ExecContext(ctx, `DELETE FROM lfs_pending WHERE repo_id = $1 AND oid = $2`, repoID, o.OID)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

// HasLFSObjects implements [core.LFSStore].
func (q *queries) HasLFSObjects(ctx context.Context, repoID string, oids []string) ([]core.LFSObject, error) {
	all, err := collect(ctx, q.read, scanLFSObject, `
		SELECT oid, size FROM lfs_objects WHERE repo_id = $1 AND `+oneOf("$2"), repoID, array(oids))
	return all, op{name: "look up LFS objects", subject: repoID}.fail(err)
}

// LFSObjects implements [core.LFSStore]. KindInvalid: the limit is not positive.
func (q *queries) LFSObjects(ctx context.Context, repoID, after string, limit int) ([]core.LFSObject, error) {
	action := op{name: "list LFS objects", subject: repoID}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	all, err := collect(ctx, q.read, scanLFSObject, `
		SELECT oid, size FROM lfs_objects WHERE repo_id = $1 AND oid > $2 ORDER BY oid LIMIT $3`, repoID, after, limit)
	return all, action.fail(err)
}

// OldLFSObjects implements [core.LFSStore]. KindInvalid: the limit is not positive.
func (q *queries) OldLFSObjects(ctx context.Context, repoID string, before time.Time, after string, limit int) ([]core.LFSObject, error) {
	action := op{name: "list old LFS objects", subject: repoID}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	all, err := collect(ctx, q.read, scanLFSObject, `
		SELECT oid, size FROM lfs_objects WHERE repo_id = $1 AND oid > $2 AND added_at < $3 ORDER BY oid LIMIT $4`, repoID, after, micros(before), limit)
	return all, action.fail(err)
}

// TouchLFSObjects implements [core.LFSStore].
func (q *queries) TouchLFSObjects(ctx context.Context, repoID string, oids []string, at time.Time) (touched []string, err error) {
	err = q.write(ctx, func(tx runner) error {
		touched, err = collect(ctx, tx, scanString, `
			UPDATE lfs_objects SET added_at = $1 WHERE repo_id = $2 AND `+oneOf("$3")+` RETURNING oid`, micros(at), repoID, array(oids))
		return err
	})
	return touched, op{name: "touch LFS objects", subject: repoID}.fail(err)
}

// CopyLFSObjects implements [core.LFSStore]. KindNotFound: no such repository.
func (q *queries) CopyLFSObjects(ctx context.Context, from, to string, at time.Time) error {
	action := op{name: "copy LFS objects", subject: to, missing: noRepository}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO lfs_objects (repo_id, oid, size, added_at)
			SELECT $1, oid, size, $2 FROM lfs_objects WHERE repo_id = $3
			ON CONFLICT (repo_id, oid) DO NOTHING`, to, micros(at), from)
		return err
	}))
}

// DropLFSObjects implements [core.LFSStore].
func (q *queries) DropLFSObjects(ctx context.Context, repoID string, oids []string, before time.Time) (n int, err error) {
	action := op{name: "drop LFS objects", subject: repoID}
	err = q.write(ctx, func(tx runner) error {
		result, err := tx.ExecContext(ctx, `
			DELETE FROM lfs_objects WHERE repo_id = $1 AND added_at < $2 AND `+oneOf("$3"), repoID, micros(before), array(oids))
		if err != nil {
			return err
		}
		affected, err := result.RowsAffected()
		n = int(affected)
		return err
	})
	return n, action.fail(err)
}

// LFSUsage implements [core.LFSStore]. That of a repository that does not exist is zero.
func (q *queries) LFSUsage(ctx context.Context, repoID string) (u core.LFSUsage, err error) {
	err = q.read.QueryRowContext(ctx, `SELECT count(*), COALESCE(sum(size), 0) FROM lfs_objects WHERE repo_id = $1`, repoID).Scan(&u.Objects, &u.Bytes)
	return u, op{name: "add up LFS objects", subject: repoID}.fail(err)
}

// MarkUnusedLFS implements [core.LFSStore].
func (q *queries) MarkUnusedLFS(ctx context.Context, oids []string, now, before time.Time) (old []string, err error) {
	action := op{name: "mark unused LFS objects"}
	err = q.writeAll(ctx, func(tx runner) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO lfs_unused (oid, since)
			SELECT value, $1 FROM json_each($2) WHERE NOT EXISTS (SELECT 1 FROM lfs_objects WHERE oid = value)
			ON CONFLICT (oid) DO NOTHING`, micros(now), array(oids))
		if err == nil {
			// A row may have come by a copy of rows, which leaves the marks.
			_, err = tx.ExecContext(ctx, `
				DELETE FROM lfs_unused WHERE `+oneOf("$1")+` AND EXISTS (SELECT 1 FROM lfs_objects o WHERE o.oid = lfs_unused.oid)`, array(oids))
		}
		if err != nil {
			return err
		}
		old, err = collect(ctx, tx, scanString, `SELECT oid FROM lfs_unused WHERE since <= $1 AND `+oneOf("$2")+` ORDER BY oid`, micros(before), array(oids))
		return err
	})
	return old, action.fail(err)
}

// ForgetUnusedLFS implements [core.LFSStore].
func (q *queries) ForgetUnusedLFS(ctx context.Context, oid string) (unused bool, err error) {
	err = q.write(ctx, func(tx runner) error {
		unused = true
		err := touch(ctx, tx, `
			DELETE FROM lfs_unused WHERE oid = $1 AND NOT EXISTS (SELECT 1 FROM lfs_objects o WHERE o.oid = lfs_unused.oid)`, oid)
		if errors.Is(err, sql.ErrNoRows) {
			unused = false
			return nil
		}
		return err
	})
	return unused, op{name: "forget an unused LFS object", subject: oid}.fail(err)
}

// AddLFSLock implements [core.LFSStore]. KindNotFound: no such repository.
func (q *queries) AddLFSLock(ctx context.Context, l core.LFSLock) error {
	return q.exec(ctx, op{name: "lock", subject: l.Path, missing: noRepository, taken: "the path is locked already"}, `
		INSERT INTO lfs_locks (repo_id, id, path, ref, owner, locked_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		l.RepoID, l.ID, l.Path, l.Ref, l.Owner, micros(l.LockedAt))
}

// LFSLocks implements [core.LFSStore]. KindInvalid: the limit is not positive.
func (q *queries) LFSLocks(ctx context.Context, f core.LFSLockFilter) ([]core.LFSLock, error) {
	action := op{name: "list locks", subject: f.RepoID}
	if err := checkLimit(action, f.Limit); err != nil {
		return nil, err
	}
	all, err := collect(ctx, q.read, scanLFSLock, `
		SELECT repo_id, id, path, ref, owner, locked_at FROM lfs_locks
		WHERE repo_id = $1 AND id > $2 AND ($3 = '' OR path = $3) AND ($4 = '' OR id = $4) AND ($5 = '' OR owner <> $5)
		ORDER BY id LIMIT $6`,
		f.RepoID, f.After, f.Path, f.ID, f.NotOwner, f.Limit)
	return all, action.fail(err)
}

// RemoveLFSLock implements [core.LFSStore].
func (q *queries) RemoveLFSLock(ctx context.Context, repoID, id string) error {
	return q.exec(ctx, op{name: "unlock", subject: id, missing: "there is no lock of that id"}, `
		DELETE FROM lfs_locks WHERE repo_id = $1 AND id = $2`, repoID, id)
}
