// Package limit bounds how much of the server its callers may use at the same
// time. Everything that a request starts git for takes a slot first.
//
// There is one [Limiter] a server, with a ceiling for each caller, repository
// and organisation, and for the server as a whole. Who is over a ceiling waits
// in a bounded queue for a bounded time. The queue is served round robin over
// the organisations, and within one the caller goes first who has least: a
// caller with a hundred requests delays itself, not the others.
//
// A request has one slot, however many processes it runs one after the other:
// nobody who holds a slot ever waits for another one, so no two can wait for
// each other. Heavy work has places of its own ([Work]), and so have requests whose
// bodies are held in memory ([Hold]) and uploads that go to the disk ([Upload]); they are
// taken in the order body or upload, slot, work.
// The HTTP layers open a request with [Limiter.Request], the core
// calls [Take] where it is about to start git, and what was taken goes back
// when the request ends. Work of the server itself (syncs, maintenance) has
// bounds of its own and takes no slots.
package limit
