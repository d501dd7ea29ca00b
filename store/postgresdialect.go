package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/headwater-git/headwater/core"
)

// postgresDialect is [dialect] of PostgreSQL.
type postgresDialect struct{}

// takeTurn waits until no other transaction writes to the schema, on any machine. The
// turn ends with the transaction, after its commit.
func (postgresDialect) takeTurn(ctx context.Context, tx runner) error {
	// The first number keeps it apart from other programs' locks.
	_, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock(1751474802, hashtext(current_schema()))`)
	return err
}

// attempt has a savepoint: any error ends what a transaction can do in PostgreSQL.
func (postgresDialect) attempt(ctx context.Context, tx runner, f func(runner) error) error {
	return savepoint(ctx, tx, f)
}

// name is given when the database is made.
func (postgresDialect) name(ctx context.Context, reader *sql.DB) (name string, err error) {
	err = reader.QueryRowContext(ctx, `SELECT name FROM installation WHERE id = 1`).Scan(&name)
	return name, err
}

// claim takes a lock of a session of its own, and a number that every write is held to,
// since a session may break without the server noticing.
func (postgresDialect) claim(ctx context.Context, s *Store) (release func() error, err error) {
	action := op{name: "claim the database"}
	conn, err := s.reader.Conn(ctx)
	if err != nil {
		return nil, action.fail(err)
	}
	release = func() error {
		// Not back into the pool, whose connections are closed at some time: the lock ends
		// with the session.
		_, err := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock_all()`)
		if _, away := postgresAdvice(err); err != nil && !away {
			return action.fail(errors.Join(err, conn.Close()))
		}
		if err := conn.Close(); err != nil && !errors.Is(err, sql.ErrConnDone) {
			return action.fail(err)
		}
		return nil
	}
	var got bool
	if err := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock(1751474803, hashtext(current_schema()))`).Scan(&got); err != nil {
		return nil, action.fail(errors.Join(err, conn.Close()))
	}
	if !got {
		return nil, action.fail(errors.Join(core.Errorf(core.KindPrecondition,
			"another server uses this database; stop it, or give this one a database or a schema of its own: several servers of one database are not supported"), conn.Close()))
	}
	var epoch int64
	err = s.write(ctx, func(tx runner) error {
		return tx.QueryRowContext(ctx, `UPDATE installation SET epoch = epoch + 1 WHERE id = 1 RETURNING epoch`).Scan(&epoch)
	})
	if err != nil {
		return nil, action.fail(errors.Join(err, release()))
	}
	s.epoch.Store(epoch)
	return release, nil
}

// renumber refuses: a backup holds a database of SQLite.
func (postgresDialect) renumber(context.Context, runner, time.Time) (int64, error) {
	return 0, core.Errorf(core.KindPrecondition, "a backup is restored into SQLite, not into PostgreSQL")
}
