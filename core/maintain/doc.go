// Package maintain keeps repositories fast to serve: packs few, bitmaps and
// commit-graphs present, refs packed.
//
// What to do is a pure function of a repository's state ([Plan]); doing it
// takes no lock against reads, because git re-scans packs when an object is
// missing and open packs stay readable. Packing refs contends with deletions,
// so that runs under the repository's write lock, for milliseconds. Objects
// that nothing points to stay for two weeks: those of a push are unreferenced
// between their arrival and its end. "git gc" and "--prune=now" are
// never used.
//
// The checksums of packs are read in a slow rotation ([Rotation]), so that a byte that
// the disk has changed is found although nobody reads it.
//
// Work is triggered by applied ref transactions, one repository at a time, at
// low priority.
package maintain
