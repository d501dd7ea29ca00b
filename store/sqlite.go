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

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
)

// This file and the others named sqlite hold what a running store has to know of
// SQLite; inspect.go and snapshot.go read a file of it that nobody serves or that is in use.

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
