package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"github.com/headwater-git/headwater/core"
)

// sqliteFault reads an error of SQLite or of a file that this package opened; ok is
// false for any other.
func sqliteFault(err error) (f fault, ok bool) {
	if short, ok := core.ShortageOf(err); ok {
		return fault{shortage: short.Sentence(databaseFile)}, true
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return fault{}, false
	}
	code := e.Code()
	return fault{unique: isUnique(code), orphan: code == sqlitelib.SQLITE_CONSTRAINT_FOREIGNKEY, shortage: sqliteShortage(code), advice: sqliteAdvice(code)}, true
}

// isUnique reports whether a code says that a unique value exists already.
func isUnique(code int) bool {
	switch code {
	case sqlitelib.SQLITE_CONSTRAINT_UNIQUE, sqlitelib.SQLITE_CONSTRAINT_PRIMARYKEY,
		// The trigger that keeps audit entries from being replaced: the only one
		// that a statement of this package can meet.
		sqlitelib.SQLITE_CONSTRAINT_TRIGGER:
		return true
	}
	return false
}

// databaseFile is how sentences name the database.
const databaseFile = "the database (headwater.db in " + core.DataDirectory + ")"

// sqliteShortage returns the sentence for what the machine ran out of according to
// SQLite, "" if that is not why it failed. Of the system's errors SQLite tells ENOSPC
// alone apart (os_unix.c: unixWrite, robust_open, unixOpenSharedMemory).
func sqliteShortage(code int) string {
	var cause error
	switch code {
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

// IsDamaged reports whether an error says that the file of the database is damaged, or is
// none.
func IsDamaged(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code()&0xff == sqlitelib.SQLITE_CORRUPT || e.Code()&0xff == sqlitelib.SQLITE_NOTADB)
}

// sqliteAdvice returns what a person should know about an error, "" if nothing special.
func sqliteAdvice(code int) string {
	switch code & 0xff { // the primary code; the upper bits are details
	case sqlitelib.SQLITE_BUSY, sqlitelib.SQLITE_LOCKED:
		return "the database is busy; another process holds its write lock"
	case sqlitelib.SQLITE_CORRUPT, sqlitelib.SQLITE_NOTADB:
		return "the database file is damaged or not a database"
	case sqlitelib.SQLITE_READONLY, sqlitelib.SQLITE_CANTOPEN, sqlitelib.SQLITE_PERM:
		return "the database file cannot be opened for writing"
	}
	return ""
}
