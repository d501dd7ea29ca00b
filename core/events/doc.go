// Package events publishes what has changed: it makes webhook deliveries of the
// events in the outbox, sends them, and wakes the readers of the live feed.
//
// Events are written by others, in the SQL transaction of the change itself, so what
// is published here can be read already. Nothing is kept in memory that a restart
// must not lose: the dispatcher goes by the outbox position that it stores
// together with the deliveries, the sender by the rows of the deliveries.
//
// # Promises
//
// A delivery is made at least once: a crash between the receiver's answer and
// the row that records it repeats the request, with the same X-Pierre-Delivery.
// Of one webhook and repository there is one request at a time, and the next
// one begins after the last one was delivered or given up, so a receiver sees
// the events of a repository in order. Of different repositories, requests
// overtake each other.
//
// # Why a dead receiver delays nobody
//
// A webhook has a bounded number of requests in flight, so one that hangs holds
// its own slots and no others. After a failure it has a single slot, its
// attempts keep a growing distance, and all failing webhooks together have at
// most half of the workers: the rest stays for those that answer.
//
// # Giving up
//
// A delivery is tried for a day, with growing delays. When its day is over the
// next try is its last one, so that also those which waited behind others are
// tried. A webhook whose attempts have failed for three days is marked as
// failing, logged once a day, and tried at long distances; what has
// waited for a week by then is given up without a try, because nothing else
// would bound the queue of a receiver that never comes back. Everything that
// was given up stays in the delivery log, can be sent again from there, and
// says why.
package events
