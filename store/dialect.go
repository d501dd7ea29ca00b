package store

import (
	"context"
	"database/sql"
	"time"
)

// dialect is what differs between the databases while a store is open: sqliteDialect
// and postgresDialect. How a database is opened and migrated is in [Open] and
// [OpenPostgres].
type dialect interface {
	// takeTurn waits, at the begin of a write transaction, until no other one writes.
	takeTurn(ctx context.Context, tx runner) error
	// attempt runs f, which is one statement, such that tx can go on if it fails.
	attempt(ctx context.Context, tx runner, f func(runner) error) error
	// name returns what tells the database from others, "" if it needs none.
	name(ctx context.Context, reader *sql.DB) (string, error)
	// claim makes s the store of the one server that writes, see [Store.Claim].
	claim(ctx context.Context, s *Store) (release func() error, err error)
	// renumber makes the numbers of events and revocations go on above all that were
	// given before a time, by this database or by one that it is a copy of; it returns
	// the last number before. KindPrecondition: no backup is restored into this database.
	renumber(ctx context.Context, tx runner, now time.Time) (last int64, err error)
}

var (
	_ dialect = sqliteDialect{}
	_ dialect = postgresDialect{}
)

// fault is what an error of a database means to this package. The zero value: nothing
// special.
type fault struct {
	unique   bool   // a unique value exists already
	orphan   bool   // a row that is referred to is missing
	shortage string // the sentence for what the machine ran out of
	advice   string // what a person should know otherwise
	away     bool   // the database could not be asked, for now
}

// faultOf reads an error by the database whose driver made it.
func faultOf(err error) fault {
	if f, ok := sqliteFault(err); ok {
		return f
	}
	return postgresFault(err)
}
