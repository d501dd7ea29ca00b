package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
)

// This file holds all that is SQLite's own. A twin for another database has a
// file like it and a folder of migrations; the rest is shared.

const (
	// maxReaders bounds the read-only connections; each has a page cache of up
	// to 2 MB.
	maxReaders = 8
	// busyTimeout is how long SQLite waits, in milliseconds, while another
	// process writes.
	busyTimeout = "5000"
	// walLimit, in bytes, is what a write-ahead log that once grew large is cut
	// down to.
	walLimit = "67108864"
	// lockPoll is how often a process looks whether another one has finished
	// to migrate.
	lockPoll = 20 * time.Millisecond
)

// openWriter returns the pool of the one writing connection.
func openWriter(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(path, url.Values{
		// BEGIN IMMEDIATE: a transaction that starts as a reader and then
		// writes fails at once if somebody wrote meanwhile, without waiting.
		"_txlock":       {"immediate"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"}, // see the package comment
		"_foreign_keys": {"on"},
		"_pragma":       {"journal_size_limit(" + walLimit + ")"},
		// Refuses what would damage the file from within SQL.
		"_defensive": {"1"},
	}))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// keepLog makes the database keep its write-ahead log and the log's index when it is
// closed: a disk may be full at the next start, and without room for the index a
// database in WAL mode cannot even be read
// (https://www.sqlite.org/c3ref/c_fcntl_begin_atomic_write.html, PERSIST_WAL).
func keepLog(ctx context.Context, writer *sql.DB) error {
	conn, err := writer.Conn(ctx)
	if err != nil {
		return err
	}
	err = conn.Raw(func(c any) error {
		_, err := c.(sqlite.FileControl).FileControlPersistWAL("main", 1)
		return err
	})
	return errors.Join(err, conn.Close())
}

// openReader returns the pool of read-only connections. The database must
// exist and be in WAL mode.
func openReader(path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dsn(path, url.Values{"mode": {"ro"}}))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(maxReaders)
	db.SetMaxIdleConns(maxReaders)
	return db, nil
}

// dsn returns the connection string of the file at the absolute path. Pragmas
// belong here and not in an Exec, because they hold for one connection and
// pools open many.
func dsn(path string, params url.Values) string {
	params.Set("_busy_timeout", busyTimeout)
	params.Set("_dqs", "0")      // "x" is an identifier, never silently a string
	params.Set("_error_rc", "1") // no message of another operation in an error
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(path), RawQuery: params.Encode()}
	return u.String()
}

// isUnique reports whether err says that a unique value exists already.
func isUnique(err error) bool {
	if postgresCode(err) == uniqueViolation {
		return true
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return false
	}
	switch e.Code() {
	case sqlitelib.SQLITE_CONSTRAINT_UNIQUE, sqlitelib.SQLITE_CONSTRAINT_PRIMARYKEY,
		// The trigger that keeps audit entries from being replaced: the only one
		// that a statement of this package can meet.
		sqlitelib.SQLITE_CONSTRAINT_TRIGGER:
		return true
	}
	return false
}

// isOrphan reports whether err says that a row which is referred to is missing.
func isOrphan(err error) bool {
	if postgresCode(err) == foreignKeyViolation {
		return true
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code() == sqlitelib.SQLITE_CONSTRAINT_FOREIGNKEY
}

// databaseFile is how sentences name the database.
const databaseFile = "the database (headwater.db in " + core.DataDirectory + ")"

// shortage returns the sentence for what the machine ran out of according to SQLite, ""
// if that is not why it failed. Of the system's errors SQLite tells ENOSPC alone apart
// (os_unix.c: unixWrite, robust_open, unixOpenSharedMemory).
func shortage(err error) string {
	if short, ok := core.ShortageOf(err); ok { // of a file that this package opened
		return short.Sentence(databaseFile)
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return postgresShortage(postgresCode(err))
	}
	var cause error
	switch e.Code() {
	case sqlitelib.SQLITE_FULL:
		cause = unix.ENOSPC
	case sqlitelib.SQLITE_CANTOPEN, sqlitelib.SQLITE_IOERR_SHMOPEN:
		// No file of any kind can be opened: then it is not this one's fault.
		f, openErr := os.Open(os.DevNull)
		if openErr == nil {
			_ = f.Close()
		}
		cause = openErr
	case sqlitelib.SQLITE_NOMEM, sqlitelib.SQLITE_IOERR_NOMEM:
		return "the database ran out of memory; try again later, or have the operator give the machine more"
	case sqlitelib.SQLITE_IOERR_WRITE, sqlitelib.SQLITE_IOERR_FSYNC, sqlitelib.SQLITE_IOERR_DIR_FSYNC, sqlitelib.SQLITE_IOERR_TRUNCATE,
		sqlitelib.SQLITE_IOERR_SHMSIZE, sqlitelib.SQLITE_IOERR_SHMMAP:
		return core.UnwritableSentence(databaseFile)
	}
	if short, ok := core.ShortageOf(cause); ok {
		return short.Sentence(databaseFile)
	}
	return ""
}

// advice returns what a person should know about err, "" if nothing special, and whether
// the database could not be asked, for now: SQLite always can.
func advice(err error) (text string, away bool) {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return postgresAdvice(err)
	}
	switch e.Code() & 0xff { // the primary code; the upper bits are details
	case sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_LOCKED:
		return "the database is busy; another process holds its write lock", false
	case sqlitelib.SQLITE_CORRUPT, sqlitelib.SQLITE_NOTADB:
		return "the database file is damaged or not a database", false
	case sqlitelib.SQLITE_READONLY, sqlitelib.SQLITE_CANTOPEN, sqlitelib.SQLITE_PERM:
		return "the database file cannot be opened for writing", false
	}
	return "", false
}

// createFile makes an empty database file that only its owner may read; SQLite
// gives its companions the same mode. A file that exists is left alone, not
// even opened: closing it would drop the POSIX locks that this process may
// hold on it (https://www.sqlite.org/howtocorrupt.html, section 2.2).
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

// lockFile waits until this process alone holds the lock file, and returns the
// function that releases it. The lock of a process that dies is released too.
func lockFile(ctx context.Context, clock core.Clock, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		// LOCK_NB, because a blocking flock could not be cancelled.
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // closing unlocks
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(&fs.PathError{Op: "lock", Path: path, Err: err}, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-clock.After(lockPoll):
		}
	}
}
