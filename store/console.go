package store

import (
	"context"
	"errors"
	"time"

	"github.com/headwater-git/headwater/core"
)

// AddConsoleLink implements [core.ConsoleStore].
func (q *queries) AddConsoleLink(ctx context.Context, l core.ConsoleLink) error {
	return q.exec(ctx, op{name: "add console link", taken: "the link exists already"},
		`INSERT INTO console_links (hash, subject, expires_at) VALUES ($1, $2, $3)`, l.Hash, l.Subject, micros(l.ExpiresAt))
}

const noConsoleLink = "the link was used, or has expired"

func scanConsoleLink(row scanner) (l core.ConsoleLink, err error) {
	err = row.Scan(&l.Hash, &l.Subject, timeColumn{&l.ExpiresAt})
	return l, err
}

// ConsoleLink implements [core.ConsoleStore].
func (q *queries) ConsoleLink(ctx context.Context, hash string, now time.Time) (core.ConsoleLink, error) {
	l, err := scanConsoleLink(q.read.QueryRowContext(ctx,
		`SELECT hash, subject, expires_at FROM console_links WHERE hash = $1 AND expires_at > $2`, hash, micros(now)))
	return l, op{name: "read console link", missing: noConsoleLink}.fail(err)
}

// TakeConsoleLink implements [core.ConsoleStore].
func (q *queries) TakeConsoleLink(ctx context.Context, hash string, now time.Time) (l core.ConsoleLink, err error) {
	err = q.write(ctx, func(tx runner) error {
		l, err = scanConsoleLink(tx.QueryRowContext(ctx,
			`DELETE FROM console_links WHERE hash = $1 AND expires_at > $2 RETURNING hash, subject, expires_at`, hash, micros(now)))
		return err
	})
	return l, op{name: "use console link", missing: noConsoleLink}.fail(err)
}

const consoleSessionColumns = `id, hash, role, org, subject, identity, created_at, expires_at`

func scanConsoleSession(row scanner) (s core.ConsoleSession, err error) {
	err = row.Scan(&s.ID, &s.Hash, &s.Role, &s.Org, &s.Subject, &s.Identity, timeColumn{&s.CreatedAt}, timeColumn{&s.ExpiresAt})
	return s, err
}

// AddConsoleSession implements [core.ConsoleStore].
func (q *queries) AddConsoleSession(ctx context.Context, s core.ConsoleSession) error {
	if s.Identity == nil {
		s.Identity = []byte{}
	}
	return q.exec(ctx, op{name: "add console session", subject: s.ID, taken: "the session exists already"},
		`INSERT INTO console_sessions (`+consoleSessionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		s.ID, s.Hash, s.Role, s.Org, s.Subject, s.Identity, micros(s.CreatedAt), micros(s.ExpiresAt))
}

// ConsoleSession implements [core.ConsoleStore].
func (q *queries) ConsoleSession(ctx context.Context, hash string, now time.Time) (core.ConsoleSession, error) {
	s, err := scanConsoleSession(q.read.QueryRowContext(ctx,
		`SELECT `+consoleSessionColumns+` FROM console_sessions WHERE hash = $1 AND expires_at > $2`, hash, micros(now)))
	return s, op{name: "read console session", missing: "nobody is signed in"}.fail(err)
}

// DeleteConsoleSession implements [core.ConsoleStore].
func (q *queries) DeleteConsoleSession(ctx context.Context, id string) error {
	return op{name: "end console session", subject: id}.fail(q.write(ctx, func(tx runner) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM console_sessions WHERE id = $1`, id)
		return err
	}))
}

// ConsoleSessions implements [core.ConsoleStore].
func (q *queries) ConsoleSessions(ctx context.Context, org string, now time.Time) ([]core.ConsoleSession, error) {
	all, err := collect(ctx, q.read, scanConsoleSession,
		`SELECT `+consoleSessionColumns+` FROM console_sessions WHERE ($1 = '' OR org = $1) AND expires_at > $2 ORDER BY id DESC`, org, micros(now))
	return all, op{name: "list console sessions", subject: org}.fail(err)
}

// AddConsoleMinutes implements [core.ConsoleStore].
func (q *queries) AddConsoleMinutes(ctx context.Context, minutes []core.ConsoleMinute, lags []core.ConsoleLag) error {
	return op{name: "add minutes"}.fail(q.writeAll(ctx, func(tx runner) error {
		for _, m := range minutes {
			_, err := tx.ExecContext(ctx, `
				INSERT INTO console_minutes (`+minuteColumns+`)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
				ON CONFLICT (org, at) DO UPDATE SET fresh = $3, syncing = $4, failing = $5, held = $6, waiting = $7,
					lag_median = $8, lag_most = $9, lag_max = $10, pushes_ok = $11, pushes_failed = $12, push_time = $13,
					push_slowest = $14, succeeded = $15, unchanged = $16, syncs_failed = $17, syncs_held = $18`,
				m.Org, micros(m.At), m.Fresh, m.Syncing, m.Failing, m.Held, m.Waiting,
				m.LagMedian.Microseconds(), m.LagMost.Microseconds(), m.LagMax.Microseconds(),
				m.PushesOK, m.PushesFailed, m.PushTime.Microseconds(), m.PushSlowest.Microseconds(),
				m.Succeeded, m.Unchanged, m.SyncsFailed, m.SyncsHeld)
			if err != nil {
				return err
			}
		}
		for _, l := range lags {
			// The repository may be gone since the lag was taken.
			_, err := tx.ExecContext(ctx, `
				INSERT INTO console_lags (repo_id, at, lag) SELECT id, $2, $3 FROM repositories WHERE id = $1
				ON CONFLICT (repo_id, at) DO UPDATE SET lag = CASE WHEN excluded.lag > console_lags.lag THEN excluded.lag ELSE console_lags.lag END`,
				l.RepoID, micros(l.At), l.Lag.Microseconds())
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

const minuteColumns = `org, at, fresh, syncing, failing, held, waiting, lag_median, lag_most, lag_max,
	pushes_ok, pushes_failed, push_time, push_slowest, succeeded, unchanged, syncs_failed, syncs_held`

// microseconds reads a duration.
type microseconds struct{ d *time.Duration }

// Scan implements [sql.Scanner].
func (m microseconds) Scan(value any) error {
	n, ok := value.(int64)
	if !ok {
		return errors.New("a duration must be a number")
	}
	*m.d = time.Duration(n) * time.Microsecond
	return nil
}

// ConsoleMinutes implements [core.ConsoleStore].
func (q *queries) ConsoleMinutes(ctx context.Context, org string, from time.Time) ([]core.ConsoleMinute, error) {
	all, err := collect(ctx, q.read, func(row scanner) (m core.ConsoleMinute, err error) {
		err = row.Scan(&m.Org, timeColumn{&m.At}, &m.Fresh, &m.Syncing, &m.Failing, &m.Held, &m.Waiting,
			microseconds{&m.LagMedian}, microseconds{&m.LagMost}, microseconds{&m.LagMax},
			&m.PushesOK, &m.PushesFailed, microseconds{&m.PushTime}, microseconds{&m.PushSlowest},
			&m.Succeeded, &m.Unchanged, &m.SyncsFailed, &m.SyncsHeld)
		return m, err
	}, `SELECT `+minuteColumns+` FROM console_minutes WHERE org = $1 AND at >= $2 ORDER BY at`, org, micros(from))
	return all, op{name: "read minutes", subject: org}.fail(err)
}

// ConsoleLags implements [core.ConsoleStore].
func (q *queries) ConsoleLags(ctx context.Context, repoID string, from time.Time) ([]core.ConsoleLag, error) {
	all, err := collect(ctx, q.read, func(row scanner) (l core.ConsoleLag, err error) {
		err = row.Scan(&l.RepoID, timeColumn{&l.At}, microseconds{&l.Lag})
		return l, err
	}, `SELECT repo_id, at, lag FROM console_lags WHERE repo_id = $1 AND at >= $2 ORDER BY at`, repoID, micros(from))
	return all, op{name: "read lags", subject: repoID}.fail(err)
}

// DeleteConsoleRows implements [core.ConsoleStore].
func (q *queries) DeleteConsoleRows(ctx context.Context, before, now time.Time) error {
	return op{name: "delete minutes"}.fail(q.writeAll(ctx, func(tx runner) error {
		for _, s := range []struct {
			query string
			at    time.Time
		}{
			{`DELETE FROM console_minutes WHERE at < $1`, before},
			{`DELETE FROM console_lags WHERE at < $1`, before},
			{`DELETE FROM console_sessions WHERE expires_at <= $1`, now},
			{`DELETE FROM console_links WHERE expires_at <= $1`, now},
		} {
			if _, err := tx.ExecContext(ctx, s.query, micros(s.at)); err != nil {
				return err
			}
		}
		return nil
	}))
}

// Health implements [core.ConsoleStore].
func (q *queries) Health(ctx context.Context, org string, f func(core.RepositoryHealth) error) (err error) {
	action := op{name: "read repositories", subject: org}
	rows, err := q.read.QueryContext(ctx, `
		SELECT r.id, r.org, r.name, r.created_at, r.disk_bytes, u.repo_id IS NOT NULL,
			COALESCE(u.provider, ''), COALESCE(u.instance, ''), COALESCE(u.host, ''), COALESCE(u.owner, ''), COALESCE(u.name, ''),
			COALESCE(s.upstream_state, ''), COALESCE(s.paused_at, 0) > 0, COALESCE(s.first_synced_at, 0) > 0, COALESCE(s.failures, 0), COALESCE(s.last_class, ''), COALESCE(s.last_error, ''),
			COALESCE(s.observed_at, 0), COALESCE(s.changed_at, 0), COALESCE(s.next_attempt_at, 0), COALESCE(s.wanted, 0) > 0, COALESCE(s.brake_digest, '') <> '',
			r.id IN (SELECT repo_id FROM sync_runs WHERE finished_at = 0),
			COALESCE((SELECT d.state FROM damages d WHERE d.repo_id = r.id AND d.ended_at = 0 ORDER BY d.id DESC LIMIT 1), ''),
			(SELECT count(*) FROM rewrites w WHERE w.repo_id = r.id AND w.state IN ('held', 'frozen', 'dismissed') AND w.state = 'held'),
			(SELECT count(*) FROM rewrites w WHERE w.repo_id = r.id AND w.state IN ('held', 'frozen', 'dismissed') AND w.state <> 'held'),
			CASE WHEN i.state = 'failing' THEN i.message ELSE '' END
		FROM repositories r LEFT JOIN upstreams u ON u.repo_id = r.id LEFT JOIN sync_states s ON s.repo_id = r.id
			LEFT JOIN inbound_webhooks i ON i.repo_id = r.id
		WHERE ($1 = '' OR r.org = $1) AND r.deleted_at = 0
		ORDER BY r.name, r.org`, org)
	if err != nil {
		return action.fail(err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var h core.RepositoryHealth
		if err := rows.Scan(&h.RepoID, &h.Org, &h.Name, timeColumn{&h.CreatedAt}, &h.DiskBytes, &h.Synced,
			&h.Provider, &h.Instance, &h.Host, &h.Owner, &h.Path,
			&h.Upstream, &h.Paused, &h.Ready, &h.Failures, &h.Class, &h.LastError,
			timeColumn{&h.ObservedAt}, timeColumn{&h.ChangedAt}, timeColumn{&h.NextAttemptAt}, &h.Requested, &h.Braked,
			&h.Running, &h.Damage, &h.HeldRefs, &h.KeptRefs, &h.WebhookError); err != nil {
			return action.fail(err)
		}
		if err := f(h); err != nil {
			return err
		}
	}
	return action.fail(rows.Err())
}
