// Package commit makes the objects that API calls ask for (commits from files,
// from diffs and from older trees, merges, notes, copies of repositories) and
// moves the refs that name them through core/push, as every write does.
//
// # What a commit costs
//
// There is no checkout, and no index of the whole tree: only the folders on the
// way to a changed path are read, through the pool of cat-file processes, and
// written anew. New objects are put into one pack, which one git process
// stores; then core/push moves the ref. Contents of files are streamed: only the
// list of a request's files is in memory.
//
// # Nothing half-done
//
// Everything is checked before anything is stored, as far as it can be. Objects
// that were stored for a write that is refused later (a ref moved, an upstream
// refused) are unreferenced, and maintenance removes them. Temporary files are
// unlinked as soon as they are open, so that even a crash leaves none behind.
//
// # Taking turns
//
// API writes to one branch wait for each other from reading its tip to moving
// it, so writers without a guard all succeed, and each builds on the one before.
// Only a push can come between; then a local repository is tried again. On a
// synced one the upstream decides, once.
package commit
