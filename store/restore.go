package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/headwater-git/headwater/core"
)

// Restored is what a database knows of the backup that it came from.
type Restored struct {
	BackupAt    time.Time
	RestoredAt  time.Time
	FirstSeq    int64     // the first position of an event that was given since
	ConfirmedAt time.Time // zero: deliveries are held
	Held        int       // pending deliveries
}

// versionJump is by how much a restore raises the versions of repositories, for caches
// that know answers by version.
const versionJump = 1 << 20

// MarkRestored makes a copy of a database ready to be served again at a time: events
// go on above every position that was given before, deliveries are held, versions of
// repositories are new, and the synced repositories in empty, which the copy comes
// without, are mirrored anew.
func (s *Store) MarkRestored(ctx context.Context, backupAt, now time.Time, empty []string) error {
	action := op{name: "mark the database as restored"}
	return action.fail(s.write(ctx, func(tx runner) error {
		last, err := s.dialect.renumber(ctx, tx, now)
		if err != nil {
			return err
		}
		set := func(query string, args ...any) error {
			_, err := tx.ExecContext(ctx, query, args...)
			return err
		}
		if err := set(`
			INSERT INTO restores (id, backup_at, restored_at, first_seq, confirmed_at) VALUES (1, $1, $2, $3, 0)
			ON CONFLICT (id) DO UPDATE SET backup_at = $1, restored_at = $2, first_seq = $3, confirmed_at = 0`,
			micros(backupAt), micros(now), last+1); err != nil {
			return err
		}
		if err := set(`UPDATE repositories SET version = version + $1`, versionJump); err != nil {
			return err
		}
		for _, id := range empty {
			// As right after its creation: without the digest the first look finds a
			// difference, and a first mirror makes no events of refs that were here.
			if err := set(`
				UPDATE sync_states SET wanted = wanted + 1, wanted_ref = '', cause = 'retry', next_attempt_at = 0, failures = 0,
					first_synced_at = 0, digest = '', brake_digest = '', brake_since = 0
				WHERE repo_id = $1`, id); err != nil {
				return err
			}
		}
		return nil
	}))
}

// Restored returns what the database knows of its restore; ok is false if it never was
// restored.
func (s *Store) Restored(ctx context.Context) (r Restored, ok bool, err error) {
	err = s.reader.QueryRowContext(ctx, `
		SELECT backup_at, restored_at, first_seq, confirmed_at, (SELECT COUNT(*) FROM deliveries WHERE state = 'pending') FROM restores WHERE id = 1`).
		Scan(timeColumn{&r.BackupAt}, timeColumn{&r.RestoredAt}, &r.FirstSeq, timeColumn{&r.ConfirmedAt}, &r.Held)
	if errors.Is(err, sql.ErrNoRows) {
		return Restored{}, false, nil
	}
	return r, err == nil, op{name: "read the restore"}.fail(err)
}

// ConfirmRestore lets held deliveries go out, or with drop cancels those that wait. A
// running server notices within a quarter of a minute. KindPrecondition: none are held.
func (s *Store) ConfirmRestore(ctx context.Context, at time.Time, drop bool) (dropped int, err error) {
	action := op{name: "confirm the restore"}
	err = s.Tx(ctx, func(q core.Queries) error {
		tx := q.(*queries).read
		err := touch(ctx, tx, `UPDATE restores SET confirmed_at = $1 WHERE confirmed_at = 0`, micros(at))
		if errors.Is(err, sql.ErrNoRows) {
			return core.Errorf(core.KindPrecondition, "no deliveries are held: the database was not restored, or that was confirmed before")
		}
		if err != nil || !drop {
			return action.fail(err)
		}
		webhooks, err := collect(ctx, tx, func(row scanner) (id string, err error) {
			err = row.Scan(&id)
			return id, err
		}, `SELECT DISTINCT webhook_id FROM deliveries WHERE state = 'pending'`)
		if err != nil {
			return action.fail(err)
		}
		if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM deliveries WHERE state = 'pending'`).Scan(&dropped); err != nil {
			return action.fail(err)
		}
		for _, id := range webhooks {
			if err := q.CancelDeliveries(ctx, id, at); err != nil {
				return err
			}
		}
		return nil
	})
	return dropped, err
}

// ActiveWebhook is a webhook without its secret.
type ActiveWebhook struct{ Org, ID, URL string }

// ActiveWebhooks lists the active webhooks of all organisations; it opens no secret.
func (s *Store) ActiveWebhooks(ctx context.Context) ([]ActiveWebhook, error) {
	all, err := collect(ctx, s.read, func(row scanner) (w ActiveWebhook, err error) {
		err = row.Scan(&w.Org, &w.ID, &w.URL)
		return w, err
	}, `SELECT org, id, url FROM webhooks WHERE active = 1 ORDER BY org, id`)
	return all, op{name: "list webhooks"}.fail(err)
}
