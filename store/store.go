package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
)

// slowTx is how long a write transaction may take before it is logged: it
// holds up every other writer.
const slowTx = time.Second

// Sealer seals secrets before they are stored. Both methods must be safe for
// concurrent use. Package store/seal has the implementation; tests may bring
// their own.
type Sealer interface {
	// Seal encrypts plaintext and binds it to associatedData.
	Seal(plaintext, associatedData []byte) ([]byte, error)
	// Open reverses Seal. It fails if the ciphertext was changed, was sealed
	// with another key, or with other associated data. Its errors never hold
	// the plaintext.
	Open(ciphertext, associatedData []byte) ([]byte, error)
}

// Options are what a store needs from outside.
type Options struct {
	Sealer Sealer       // required
	Logger hclog.Logger // nil: logs nothing
	Clock  core.Clock   // nil: the system clock
	// Wrote is called after every write transaction, for whoever counts: how long it
	// waited for the writer, and how long it held it. It must not block. nil: nobody
	// does.
	Wrote func(waited, held time.Duration)
}

// withDefaults returns the options with what may be left out.
func (o Options) withDefaults() (Options, error) {
	if o.Sealer == nil {
		return o, core.Errorf(core.KindInvalid, "a store needs a sealer")
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Clock == nil {
		o.Clock = core.SystemClock{}
	}
	if o.Wrote == nil {
		o.Wrote = func(time.Duration, time.Duration) {}
	}
	return o, nil
}

// Store is a store in SQLite or PostgreSQL. All methods are safe for concurrent use.
type Store struct {
	queries
	writer   *sql.DB
	reader   *sql.DB
	logger   hclog.Logger
	clock    core.Clock
	watchers watchers
	wrote    func(waited, held time.Duration)
	dialect  dialect
	// epoch is that of the claim; 0: nothing is claimed.
	epoch atomic.Int64
}

// newStore returns the store over two pools of one database. What is outside a
// transaction is read by read.
func newStore(d dialect, writer, reader *sql.DB, read runner, opts Options) *Store {
	s := &Store{dialect: d, writer: writer, reader: reader, logger: opts.Logger, clock: opts.Clock, wrote: opts.Wrote}
	s.queries = queries{read: read, write: s.write, writeAll: s.write, eventsAdded: s.watchers.tell, sealer: opts.Sealer, clock: opts.Clock}
	return s
}

var _ core.Store = (*Store)(nil)

// Open opens the database file at path, creates it with mode 0600 if it is
// missing, and brings its schema up to date. The folder must exist. Several
// processes may have the same database open.
//
// It returns KindInvalid without a sealer, KindPrecondition for a database of
// a newer version of the program, and KindInternal for what the database says.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	action := op{name: "open database", subject: path}
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, action.fail(err)
	}

	// Held while the file is made, put into WAL mode and migrated, which
	// processes that start together must not do at the same time.
	unlock, err := lockFile(ctx, opts.Clock, path+"-migrate.lock")
	if err != nil {
		return nil, action.fail(err)
	}
	defer unlock()
	if err := createFile(path); err != nil {
		return nil, action.fail(err)
	}
	writer, err := openWriter(path)
	if err != nil {
		return nil, action.fail(err)
	}
	if err := migrate(ctx, writer, sqliteMigrations, opts.Logger); err != nil {
		return nil, action.fail(errors.Join(err, writer.Close()))
	}
	reader, err := openReader(path)
	if err == nil {
		err = keepLog(ctx, writer)
	}
	if err != nil {
		return nil, action.fail(errors.Join(err, writer.Close()))
	}
	return newStore(sqliteDialect{}, writer, reader, &prepared{DB: reader}, opts), nil
}

// Tx implements [core.Store]. A method of q that fails leaves the transaction
// as it was before, so f may go on after it. An error of f is returned as it
// is; a commit that fails is KindInternal.
func (s *Store) Tx(ctx context.Context, f func(q core.Queries) error) error {
	var inner error
	eventsAdded := false
	err := s.write(ctx, func(tx runner) error {
		inner = f(&queries{
			read:        tx,
			write:       func(ctx context.Context, f func(runner) error) error { return s.dialect.attempt(ctx, tx, f) },
			writeAll:    func(ctx context.Context, f func(runner) error) error { return savepoint(ctx, tx, f) },
			eventsAdded: func() { eventsAdded = true },
			sealer:      s.sealer,
			clock:       s.clock,
		})
		return inner
	})
	if inner != nil {
		return inner
	}
	if err == nil && eventsAdded {
		s.watchers.tell()
	}
	return op{name: "run transaction"}.fail(err)
}

// write runs f in a transaction of the writer and commits it if f returns nil.
func (s *Store) write(ctx context.Context, f func(tx runner) error) error {
	asked := s.clock.Now()
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	// After a commit this does nothing; it is for errors and panics of f. Its
	// own error is of no use: a transaction that cannot be rolled back is
	// ended by closing its connection, which database/sql does.
	defer func() { _ = tx.Rollback() }()
	if err := s.dialect.takeTurn(ctx, tx); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := s.checkClaim(ctx, tx); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	began := s.clock.Now()
	defer func() { s.wrote(began.Sub(asked), s.clock.Now().Sub(began)) }()
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		// A transaction whose context ended was rolled back behind our back;
		// then "done already" is all that Commit may know.
		if errors.Is(err, sql.ErrTxDone) && ctx.Err() != nil {
			err = ctx.Err()
		}
		return fmt.Errorf("commit: %w", err)
	}
	if took := s.clock.Now().Sub(began); took > slowTx {
		s.logger.Warn("slow write transaction", "duration_ms", took.Milliseconds())
	}
	return nil
}

// savepoint runs f such that it leaves nothing in tx if it fails.
func savepoint(ctx context.Context, tx runner, f func(runner) error) error {
	if _, err := tx.ExecContext(ctx, "SAVEPOINT step"); err != nil {
		return err
	}
	if err := f(tx); err != nil {
		// When ctx is done the whole transaction is rolled back anyhow.
		if _, undo := tx.ExecContext(context.WithoutCancel(ctx), "ROLLBACK TO SAVEPOINT step"); undo != nil {
			return errors.Join(err, undo)
		}
		_, _ = tx.ExecContext(context.WithoutCancel(ctx), "RELEASE SAVEPOINT step")
		return err
	}
	_, err := tx.ExecContext(ctx, "RELEASE SAVEPOINT step")
	return err
}

// Close closes both pools and, if no other process has the database open,
// moves the write-ahead log into the database file. Transactions must have
// ended.
func (s *Store) Close() error {
	return op{name: "close database"}.fail(errors.Join(s.reader.Close(), s.writer.Close()))
}
