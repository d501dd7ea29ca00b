// Package purge forgets on purpose: it takes what no ref leads to out of a repository
// at once, with the old tips that were kept, so that a secret that was rewritten away
// at its host cannot be read here any more.
//
// A prune beside writers loses what they bring: the objects of a push lie in the
// repository for a moment before a ref leads to them, and git's prune removes a
// quarantine of a push that runs. So a purge is alone with the objects
// ([repo.Locker.BarWriters]), and keeps what a ref will lead to when a write session
// that is open has ended. Readers go on: a git that reads sees the old packs as long
// as it has them open.
//
// What was forgotten is written down before it is removed, and stays written down: it
// is served, kept and fetched by its id only while a ref leads to it. Copies
// elsewhere are forgotten through [forget.Registry].
package purge
