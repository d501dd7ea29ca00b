// Package upstream opens upstream repositories for the core: it asks the
// repository's provider where the upstream is and what credential opens it,
// checks the host's addresses against the operator's policy, and hands out a
// [git.Remote] that is pinned to the checked addresses.
//
// Nothing is trusted for longer than one operation: addresses are resolved and
// checked again at every contact, so a name that pointed outside yesterday and
// inside today reaches nothing. A credential that the host refuses is asked for
// once more, fresh, before the refusal is believed.
//
// # What became of an upstream
//
// [Monitor] follows the repository with the host's stable id, where the host has such
// ids, whatever its name is. It asks the host's API when git fails in a way that the
// API may explain, when a webhook announces a change, once a day, before a write if the
// id was confirmed longer than a minute ago, and, while a run fetches, before anything
// new reaches a public ref ([Inquiry]). Renames and transfers are followed; every other
// state is recorded and ends with the next contact that works. The row of
// the state, and links that change, are written here alone.
package upstream
