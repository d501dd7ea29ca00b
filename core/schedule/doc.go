// Package schedule decides when repositories are synchronised with their
// upstreams. It knows nothing of git: a [Worker] does the work.
//
// # Requests and generations
//
// A request for a run raises the repository's wanted generation in the store; a
// run serves the generation that it read when it started. A burst of requests
// therefore folds into at most one running and one waiting run, a restart loses
// none, and a caller that needs "a run that started after my request" waits for
// its own generation. The rows are the queue of record. What is kept in memory is
// a copy of the rows that are due, one queue per host, and is replaced whenever
// the rows are read.
//
// # One scheduler, no lost wake-up
//
// Runs (fetch and apply) and looks (list and compare) are admitted by one loop:
// admit, then sleep until a time or a wake-up. admit starts every item that may
// start. Whatever can make another item startable does so under the same lock,
// and leaves a token in a channel of capacity one in the same critical section.
// The loop takes the token only when it sleeps, and calls admit afterwards. A
// change before admit is seen by it; a change after it leaves a token, and the
// sleep returns at once. For the rows the same holds one level up: a writer
// commits and then calls [Service.Notify], which sets the time at which the rows
// are read next; admit clears that time before the rows are read. A row that was
// committed after the read has therefore set the time again.
//
// # Where the lock is
//
// All of this is in one type, agenda, whose methods alone lock. admit and release are
// where work starts and ends. The others are short: a note that a row has changed or a
// host has failed, a look that becomes a run, and questions of those who want to know
// what runs. Notes could be sent to the loop as messages, and admit be the only place
// that locks; then Halt, a promotion and every question would wait for the loop, which
// may be reading rows, and would need answers of their own for a loop that has ended.
//
// # Budgets
//
// Every host has its own number of places, so that one that is slow, limits
// requests or is down delays no other. One place is reserved for looks, so that
// first mirrors, which can take hours, do not end the polling of the host's other
// repositories; and one for runs. A full host is skipped without touching its
// queue.
package schedule
