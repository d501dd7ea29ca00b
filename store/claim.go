package store

import (
	"context"
	"database/sql"
	"errors"

	"github.com/headwater-git/headwater/core"
)

// Name returns what tells this database from others, which it was given when it was
// made; "" for SQLite, whose file is where it is.
func (s *Store) Name(ctx context.Context) (name string, err error) {
	if s.alone == nil {
		return "", nil
	}
	err = s.reader.QueryRowContext(ctx, `SELECT name FROM installation WHERE id = 1`).Scan(&name)
	return name, op{name: "read the name of the database"}.fail(err)
}

// Claim makes this the store of the one server that writes to the database. Until
// release, which must be called before Close, no other store can claim it; and should
// this one's connection break and another claim it, every write of this one fails with
// KindPrecondition. Stores that claim nothing, those of commands, may write beside it.
//
// KindPrecondition: another server has claimed it. SQLite needs no claim: there the lock
// of the data directory does the same.
func (s *Store) Claim(ctx context.Context) (release func() error, err error) {
	if s.alone == nil {
		return func() error { return nil }, nil
	}
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

// checkClaim refuses a write of a server of which another one has taken the place.
func (s *Store) checkClaim(ctx context.Context, tx runner) error {
	mine := s.epoch.Load()
	if mine == 0 {
		return nil
	}
	var epoch int64
	err := tx.QueryRowContext(ctx, `SELECT epoch FROM installation WHERE id = 1`).Scan(&epoch)
	if errors.Is(err, sql.ErrNoRows) || err == nil && epoch != mine {
		return core.Errorf(core.KindPrecondition, "another server has taken over the database; this one writes no more: stop it")
	}
	return err
}
