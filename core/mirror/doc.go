// Package mirror makes synced repositories equal to their upstreams.
//
// # Asking and running
//
// Asking for a sync raises the repository's wanted generation in the store; a
// run serves the generation it read at its start. So a storm of requests folds
// to at most one running and one waiting run, nothing is lost by a restart, and
// a caller that needs "a run that began after I asked" waits for its own
// generation. The row itself is the queue: the scheduler looks for rows whose
// wanted is above served and whose next attempt is due. A separate job queue
// would only be a second record of the same fact that can disagree with it.
//
// # One run
//
// List the upstream's refs in process (see core/git); if their digest equals
// the last one, nothing more happens. Else fetch what differs, by the ids that
// were listed, into tracking refs (refs/internal/upstream/*), which nobody sees;
// compare tracking refs with public refs under no lock; and give the difference,
// with old ids, to the one door (core/repo). Refs that a write session moved
// meanwhile are left out and looked at again. A fetch that fails yields no plan.
//
// A run that nobody asked for, and that finds no difference, leaves neither a row
// nor an event; so the echo of our own push costs one comparison.
//
// # What causes a look
//
// People, write sessions and inbound webhooks ask for runs. The poller looks at
// upstreams unasked: a look is the listing of a run, and becomes a run, with what
// it has heard, if that differs or fails. Ids that a webhook announced, and that
// no listing has shown yet, are looked for in short steps until they are seen,
// superseded or expired. Budgets keep every host from doing more than it may, and
// from delaying others. Nothing relies on the clock of a host.
//
// # Whom it follows
//
// The repository with the host's stable id, where the host has such ids: whatever
// it is called. The host's API is asked when its git fails in a way that it may
// explain, when a webhook says so, once a day, and, while objects are fetched,
// before anything new reaches a public ref.
//
// # The first mirror
//
// It goes into the tracking refs of the empty repository in two steps (default
// branch, then everything), so that a broken connection loses one step and not
// all. The public refs appear in one transaction at its end; until
// then content calls are told to come back. Working in place instead of in a
// temporary repository is what makes a restart resume.
package mirror
