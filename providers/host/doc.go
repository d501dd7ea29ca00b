// Package host launches provider plugins and keeps them in order: one process
// per provider instance, started on first use, so that the credentials of two
// instances never share an address space.
//
// Built-in providers are served by this very executable, external ones by a
// binary named in providers.hcl with its checksum. Both take the same path: the
// same handshake, the same one-time mutual TLS over a unix socket, the same
// stripped environment, the same supervisor.
//
// # When a plugin fails
//
// A process that crashes, hangs in a call or stops answering pings is killed
// with its process group. A call it had in hand is sent once more to the next
// process; every method of the contract is idempotent. The next process is
// started by the next call, after a pause that doubles from one second to two
// minutes and starts over after five healthy minutes. Until then calls fail at
// once with [providers.CodeUnavailable] and say when to try again. Other
// instances notice nothing.
//
// Secrets are cut out of everything that a plugin writes and of every message
// that it answers with, as far as they are known here: those of providers.hcl
// and those that travelled in the latest calls.
package host
