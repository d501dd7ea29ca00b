// Package store implements [core.Store] over database/sql.
//
// # One file, two pools
//
// SQLite allows one writer at a time. All writing of a process goes through a
// pool of one connection, so writers of the same process queue in Go, in order,
// and never see SQLITE_BUSY; a second pool of read-only connections serves
// everything outside a transaction. Other processes (the command line beside a
// running server) take part through SQLite's own locks: every write transaction
// starts with BEGIN IMMEDIATE and waits for its turn.
//
// # Durability
//
// The writer uses WAL with synchronous=FULL: a commit returns after fsync.
// NORMAL, the usual choice with WAL, may lose the last commits in a power cut.
// A journal entry is written before a push goes upstream, so that a restart
// asks the upstream what became of it; an entry that a power cut can take back
// would be no promise.
//
// # Portable SQL
//
// Queries use $1 parameters, which both SQLite and PostgreSQL number alike, and
// no function that only one of them has. What differs by engine is a dialect, in the
// files that are named after the engine, and a folder of migrations. Times are stored as microseconds
// since 1970 UTC in integers: they compare alike everywhere, "not after now"
// includes the zero time, which is 0, and no driver parses or formats them. So
// times come back in UTC, cut to microseconds.
//
// # Secrets
//
// The secret of a credential is sealed with a key outside the database (see
// package store/seal) before it gets into a statement, with the id of its row
// as associated data: a sealed secret that is copied to another row does not
// open there.
package store
