// Package commit makes the objects that API calls ask for (commits from files,
// from diffs and from older trees, merges, notes, copies of repositories) and
// moves the refs that are to name them by a write session of core/push.
//
// # What a commit costs
//
// There is no checkout, and no index of the whole tree: only the folders on the
// way to a changed path are read, through the pool of cat-file processes, and
// written anew. New objects are put into one pack, which one git process
// stores; then the write session moves the ref. Contents of files stream through: of a
// request only the list of its files is in memory.
//
// # Nothing half-done
//
// Everything is checked before anything is stored, as far as it can be. Objects
// that were stored for a write that is refused later (a ref moved, an upstream
// said no) are named by no ref, and maintenance removes them. Temporary files
// lose their name as soon as they are open, so that not even a crash leaves
// one behind.
//
// # Taking turns
//
// API writes to one branch wait for each other from reading its tip to moving
// it, so writers without a guard all succeed, and each builds on the one before.
// Only a push can come between; then a local repository is tried again. On a
// synced one the upstream decides, once.
package commit
