// Package repo keeps the bare repositories on disk, and is the one way
// that their refs move.
//
// # A change of refs
//
// Every change goes through [Repos.Transact], which carries out an [Intent]: a
// push and an API write of core/push, a run of a mirror, an approval of
// core/rewrite. The caller does its own part before (policies, ref locks,
// comparison, fetch) and reads the [Outcome] after it. Transact does, in order:
//
//  1. The journal entry is opened: state "sent". Until here an error means that
//     nothing moved; from here on the caller's context ends nothing any more.
//  2. [CommitPoint.Prepare] makes the objects durable.
//  3. Intent.Upstream takes the updates to the upstream, if that has a part in
//     them. No lock but the ref locks is held meanwhile.
//  4. Under the write lock, [CommitPoint.Commit] moves the accepted refs with their
//     old ids, their tracking refs and the hidden refs of old tips, and closes the
//     entry in one SQL transaction with the new version, rows of rewrites, audit
//     entry, events and the caller's facts.
//
// The states of an entry:
//
//	sent ──> applied   the accepted updates are in place and recorded, with their events
//	  │ ───> dropped   nothing moved here
//	  │ ───> lagging   the upstream took it, the copy here could not follow;
//	  │                a sync brings it, with the events, and the entry is dropped
//	  └────> sent      nobody knows yet, or the store failed: left open
//
// Updates whose outcome the upstream did not report go on in an entry of their own,
// which stays sent. What is left open, by Transact or by a crash, is one type,
// [Unfinished]: core/push takes it over ([Repos.OnLeft], or Survey at start), keeps
// its refs locked, finds out what became of it, and ends it by [Repos.Resume] or
// [Repos.Conclude]. Nobody else writes to the journal.
//
// # Locks
//
// Order is always: running sync, ref locks, write lock, SQL transaction; never the
// reverse. Ref locks are held by write sessions over the upstream leg; two writers
// on different branches go upstream side by side, two on the same branch queue. The
// write lock is held for the local part only, never over the network. A sync leaves
// out refs whose lock is held, or that a write session moved since the sync listed
// the upstream.
//
// # On disk
//
// repos/ab/cd/<id>.git, where abcd are the last digits of the id (its first
// ones are the time and would fill one folder). Names live in SQL, so a rename
// touches no disk. A repository is made in tmp/ and renamed into place; it is
// deleted by a rename to tmp/delete-<id>.git, which a restart finishes.
package repo
