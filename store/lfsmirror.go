package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/headwater-git/headwater/core"
)

const pendingColumns = `oid, size, path, found_at, attempts, next_at, missing, class, error`

func scanLFSPending(row scanner) (p core.LFSPending, err error) {
	var missing int64
	err = row.Scan(&p.OID, &p.Size, &p.Path, timeColumn{&p.FoundAt}, &p.Attempts, timeColumn{&p.NextAt}, &missing, &p.Class, &p.Error)
	p.Missing = missing != 0
	return p, err
}

func scanObjectID(row scanner) (id core.ObjectID, err error) {
	err = row.Scan(&id)
	return id, err
}

// LFSMirrors implements [core.LFSMirrorStore]. KindInvalid: the limit is not positive.
func (q *queries) LFSMirrors(ctx context.Context, after string, limit int) ([]string, error) {
	action := op{name: "list repositories that mirror LFS objects"}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	// In a text of the JSON the quotes would follow backslashes.
	all, err := collect(ctx, q.read, scanString, `
		SELECT repo_id FROM settings WHERE repo_id > $1 AND body LIKE '%"lfs":"mirror"%' ORDER BY repo_id LIMIT $2`, after, limit)
	return all, action.fail(err)
}

// LFSTips implements [core.LFSMirrorStore].
func (q *queries) LFSTips(ctx context.Context, repoID string) ([]core.ObjectID, error) {
	all, err := collect(ctx, q.read, scanObjectID, `SELECT tip FROM lfs_tips WHERE repo_id = $1 ORDER BY tip`, repoID)
	return all, op{name: "read scanned tips", subject: repoID}.fail(err)
}

// AddLFSPending implements [core.LFSMirrorStore].
func (q *queries) AddLFSPending(ctx context.Context, repoID string, objects []core.LFSPending, at time.Time) (n int, err error) {
	action := op{name: "add pending LFS objects", subject: repoID, missing: noRepository}
	err = q.writeAll(ctx, func(tx runner) error {
		n = 0
		var bytes int64
		for _, o := range objects {
			err := touch(ctx, tx, `
				INSERT INTO lfs_pending (repo_id, oid, size, path, found_at)
				SELECT $1, $2, CAST($3 AS BIGINT), $4, CAST($5 AS BIGINT)
				WHERE NOT EXISTS (SELECT 1 FROM lfs_objects WHERE repo_id = $1 AND oid = $2)
				ON CONFLICT (repo_id, oid) DO NOTHING`, repoID, o.OID, o.Size, o.Path, micros(at))
			switch {
			case errors.Is(err, sql.ErrNoRows):
			case err != nil:
				return err
			default:
				n++
				bytes += o.Size
			}
		}
		if n == 0 {
			return nil
		}
		_, err := tx.ExecContext(ctx, `
			INSERT INTO lfs_mirrors (repo_id, round_at, round_objects, round_bytes) VALUES ($1, $2, $3, $4)
			ON CONFLICT (repo_id) DO UPDATE SET
				round_objects = CASE WHEN lfs_mirrors.round_at = 0 THEN 0 ELSE lfs_mirrors.round_objects END + excluded.round_objects,
				round_bytes   = CASE WHEN lfs_mirrors.round_at = 0 THEN 0 ELSE lfs_mirrors.round_bytes END + excluded.round_bytes,
				round_at      = CASE WHEN lfs_mirrors.round_at = 0 THEN excluded.round_at ELSE lfs_mirrors.round_at END`,
			repoID, micros(at), n, bytes)
		return err
	})
	return n, action.fail(err)
}

// EndLFSScan implements [core.LFSMirrorStore].
func (q *queries) EndLFSScan(ctx context.Context, repoID string, come, gone []core.ObjectID, at time.Time) error {
	action := op{name: "end a scan for LFS pointers", subject: repoID, missing: noRepository}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		for _, tip := range gone {
			if _, err := tx.ExecContext(ctx, `DELETE FROM lfs_tips WHERE repo_id = $1 AND tip = $2`, repoID, tip); err != nil {
				return err
			}
		}
		for _, tip := range come {
			if _, err := tx.ExecContext(ctx, `INSERT INTO lfs_tips (repo_id, tip) VALUES ($1, $2) ON CONFLICT (repo_id, tip) DO NOTHING`, repoID, tip); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `
			INSERT INTO lfs_mirrors (repo_id, scanned_at) VALUES ($1, $2)
			ON CONFLICT (repo_id) DO UPDATE SET scanned_at = excluded.scanned_at`, repoID, micros(at))
		return err
	}))
}

// DueLFSPending implements [core.LFSMirrorStore]. KindInvalid: the limit is not positive.
func (q *queries) DueLFSPending(ctx context.Context, repoID string, now time.Time, limit int) ([]core.LFSPending, error) {
	action := op{name: "list due LFS objects", subject: repoID}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	all, err := collect(ctx, q.read, scanLFSPending, `
		SELECT `+pendingColumns+` FROM lfs_pending WHERE repo_id = $1 AND next_at <= $2 ORDER BY next_at, oid LIMIT $3`, repoID, micros(now), limit)
	return all, action.fail(err)
}

// PendingLFS implements [core.LFSMirrorStore]. KindInvalid: the limit is not positive.
func (q *queries) PendingLFS(ctx context.Context, repoID string, tried bool, after string, limit int) ([]core.LFSPending, error) {
	action := op{name: "list pending LFS objects", subject: repoID}
	if err := checkLimit(action, limit); err != nil {
		return nil, err
	}
	least := 0
	if tried {
		least = 1
	}
	all, err := collect(ctx, q.read, scanLFSPending, `
		SELECT `+pendingColumns+` FROM lfs_pending WHERE repo_id = $1 AND oid > $2 AND attempts >= $3 ORDER BY oid LIMIT $4`, repoID, after, least, limit)
	return all, action.fail(err)
}

// PendingLFSOf implements [core.LFSMirrorStore].
func (q *queries) PendingLFSOf(ctx context.Context, repoID string, oids []string) ([]core.LFSPending, error) {
	all, err := collect(ctx, q.read, scanLFSPending, `
		SELECT `+pendingColumns+` FROM lfs_pending WHERE repo_id = $1 AND `+oneOf("$2")+` ORDER BY oid`, repoID, array(oids))
	return all, op{name: "look up pending LFS objects", subject: repoID}.fail(err)
}

// SaveLFSPending implements [core.LFSMirrorStore].
func (q *queries) SaveLFSPending(ctx context.Context, repoID string, objects []core.LFSPending) error {
	action := op{name: "save pending LFS objects", subject: repoID}
	return action.fail(q.writeAll(ctx, func(tx runner) error {
		for _, o := range objects {
			missing := 0
			if o.Missing {
				missing = 1
			}
			_, err := tx.ExecContext(ctx, `
				UPDATE lfs_pending SET attempts = $1, next_at = $2, missing = $3, class = $4, error = $5 WHERE repo_id = $6 AND oid = $7`,
				o.Attempts, micros(o.NextAt), missing, o.Class, o.Error, repoID, o.OID)
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

// HurryLFSPending implements [core.LFSMirrorStore].
func (q *queries) HurryLFSPending(ctx context.Context, repoID string) error {
	action := op{name: "hurry pending LFS objects", subject: repoID}
	return action.fail(q.write(ctx, func(tx runner) error {
		_, err := tx.ExecContext(ctx, `UPDATE lfs_pending SET next_at = 0 WHERE repo_id = $1 AND next_at > 0`, repoID)
		return err
	}))
}

// LFSBacklog implements [core.LFSMirrorStore]. That of a repository without any is zero.
func (q *queries) LFSBacklog(ctx context.Context, repoID string) (b core.LFSBacklog, err error) {
	action := op{name: "add up pending LFS objects", subject: repoID}
	err = q.read.QueryRowContext(ctx, `SELECT scanned_at, round_at, round_objects, round_bytes FROM lfs_mirrors WHERE repo_id = $1`, repoID).
		Scan(timeColumn{&b.ScannedAt}, timeColumn{&b.RoundAt}, &b.RoundObjects, &b.RoundBytes)
	if errors.Is(err, sql.ErrNoRows) {
		return core.LFSBacklog{}, nil
	}
	if err != nil {
		return b, action.fail(err)
	}
	err = q.read.QueryRowContext(ctx, `
		SELECT count(CASE WHEN missing = 0 THEN 1 END), COALESCE(sum(CASE WHEN missing = 0 THEN size END), 0),
			count(CASE WHEN missing = 0 AND attempts > 0 THEN 1 END), count(CASE WHEN missing = 1 THEN 1 END),
			COALESCE(min(CASE WHEN missing = 0 THEN found_at END), 0), COALESCE(min(next_at), 0)
		FROM lfs_pending WHERE repo_id = $1`, repoID).
		Scan(&b.Objects, &b.Bytes, &b.Failing, &b.Missing, timeColumn{&b.OldestAt}, timeColumn{&b.NextAt})
	return b, action.fail(err)
}

// EndLFSRound implements [core.LFSMirrorStore].
func (q *queries) EndLFSRound(ctx context.Context, repoID string) error {
	return q.exec(ctx, op{name: "end a round of LFS", subject: repoID, missing: "there is no round under way"}, `
		UPDATE lfs_mirrors SET round_at = 0 WHERE repo_id = $1 AND round_at > 0`, repoID)
}

// ClearLFSMirror implements [core.LFSMirrorStore].
func (q *queries) ClearLFSMirror(ctx context.Context, repoID string) error {
	return op{name: "forget pending LFS objects", subject: repoID}.fail(q.writeAll(ctx, func(tx runner) error {
		for _, table := range []string{"lfs_pending", "lfs_tips", "lfs_mirrors"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE repo_id = $1`, repoID); err != nil {
				return err
			}
		}
		return nil
	}))
}
