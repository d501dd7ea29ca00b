package store

import (
	"context"
	"database/sql"
	"time"
)

// sqliteDialect is [dialect] of SQLite.
type sqliteDialect struct{}

// takeTurn has nothing to wait for: the transaction began with BEGIN IMMEDIATE.
func (sqliteDialect) takeTurn(context.Context, runner) error { return nil }

// attempt runs f as it is: a statement that fails is undone alone.
func (sqliteDialect) attempt(_ context.Context, tx runner, f func(runner) error) error { return f(tx) }

// name is empty: the file is where it is.
func (sqliteDialect) name(context.Context, *sql.DB) (string, error) { return "", nil }

// claim has nothing to do: the lock of the data directory keeps other servers away.
func (sqliteDialect) claim(context.Context, *Store) (release func() error, err error) {
	return func() error { return nil }, nil
}

// seqShift makes positions of events of a time: 2^20 for each second. No server writes
// so many events for long, so what begins at a later time begins above all that was
// ever given before, by this database or by one that it is a copy of. Until the year
// 2242 positions stay below 2^53, above which JavaScript rounds.
const seqShift = 20

// renumber sets the counters of AUTOINCREMENT (https://www.sqlite.org/autoinc.html).
func (sqliteDialect) renumber(ctx context.Context, tx runner, now time.Time) (last int64, err error) {
	if err := tx.QueryRowContext(ctx, `SELECT MAX(COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0), (SELECT seq FROM outbox))`).Scan(&last); err != nil {
		return 0, err
	}
	last = max(now.Unix()<<seqShift, last+1<<seqShift)
	// Revocations, too: servers that have read some that are lost now must not miss the
	// next ones.
	for _, table := range []string{"events", "revocations"} {
		// There is no row before the first row of the table.
		if _, err := tx.ExecContext(ctx, `DELETE FROM sqlite_sequence WHERE name = $1`, table); err != nil {
			return 0, err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)`, table, last); err != nil {
			return 0, err
		}
	}
	return last, nil
}
