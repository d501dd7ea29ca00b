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
	name, err = s.dialect.name(ctx, s.reader)
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
	return s.dialect.claim(ctx, s)
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
