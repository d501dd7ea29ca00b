// Package repo keeps the bare repositories on disk, and is the one door
// through which their refs move.
//
// A ref of a repository moves in exactly one function, [Repos.ApplyRefUpdates],
// whoever asks: a client's push, an API call, a sync. It applies the updates
// with their old ids under the repository's write lock, and closes the journal
// entry, raises the version and writes the events in one SQL transaction. The
// writers' own part comes before: core/push takes a change to the upstream
// first, core/mirror brings one from there.
//
// # Locks
//
// Order is always: sync flight (core/mirror), ref locks, write lock, SQL
// transaction; never the reverse. Ref locks are held by write sessions over
// the upstream leg; two writers on different branches go upstream side by
// side, two on the same branch queue. The write lock is held for the local
// apply only, never over the network. A sync leaves out refs whose lock is
// held, or that a write session moved since the sync listed the upstream.
//
// # On disk
//
// repos/ab/cd/<id>.git, where abcd are the last digits of the id (its first
// ones are the time and would fill one folder). Names live in SQL, so a rename
// touches no disk. A repository is made in tmp/ and renamed into place; it is
// deleted by a rename to tmp/delete-<id>.git, which a restart finishes.
package repo
