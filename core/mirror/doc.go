// Package mirror makes synced repositories equal to their upstreams.
//
// When a run or a look is made, core/schedule decides; this package does it. Which
// repository at the host is the upstream, and in which state, core/upstream decides.
//
// # One run
//
// List the upstream's refs in process (see core/git); if their digest equals
// the last one, nothing more happens. Else fetch what differs, by the ids that
// were listed, into tracking refs (refs/internal/upstream/*), which nobody sees;
// compare tracking refs with public refs under no lock; and give the difference,
// with old ids, to core/repo. Refs that a write session moved
// meanwhile are left out and looked at again. A fetch that fails yields no plan.
//
// A run that nobody asked for, and that finds no difference, leaves neither a row
// nor an event; so the echo of our own push costs one comparison.
//
// # Looks
//
// A look is the listing of a run. It becomes a run, with its listing, if that
// differs from the copy or fails. Object ids that a webhook announced, and that no
// listing has shown yet, are looked for in short steps until they are seen,
// superseded or expired. Nothing relies on the clock of a host.
//
// # The first mirror
//
// It goes into the tracking refs of the empty repository in two steps (default
// branch, then everything), so that a broken connection loses one step and not
// all. The public refs appear in one transaction at its end; until
// then content calls are told to come back. Working in place instead of in a
// temporary repository is what makes a restart resume.
package mirror
