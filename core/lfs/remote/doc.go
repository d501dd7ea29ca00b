// Package remote is the client of the LFS server that an upstream has: it asks for
// objects, fetches and uploads them, and passes locks on. [Service.For] is an
// [lfs.Upstream].
//
// The server's address is what Git LFS derives from the URL of the git remote, unless the
// provider says another. What opens it comes from the provider, by the operations
// [providers.OpLFS] and [providers.OpLFSWrite], for each request anew: a refused
// credential is asked for once more, fresh.
//
// # Where an answer may lead
//
// A batch answers with addresses, mostly of a storage service, and those with redirects,
// at most three of them. Every address on the way is put to the rules of git's upstreams:
// https, or http where the operator lets the upstream or that host be spoken to so; public
// addresses, unless the operator allows private ones for that host and for the upstream,
// checked at the dial; the authorities and the proxy of that host's block. Credentials and
// the headers of an action go to the host that they are for and are left out once a
// redirect leads to another.
//
// # Waiting
//
// No transfer has a time limit; one that moves too few bytes ends. Nothing is retried but
// what was not begun: a refused credential, an expired action, a range that is refused.
// The caller decides about the rest by the class of the error. A host that asks for a
// pause is left alone by git and LFS alike: [Hosts] remembers it.
//
// At each upstream's host at most max_concurrent objects are moved at once, 8 without it;
// git has as many places of its own.
//
// Addresses and headers of actions are secrets. They are in no error, and a transfer does
// not print them.
package remote
