// Package upstream opens upstream repositories for the core: it asks the
// repository's provider where the upstream is and what credential opens it,
// checks the host's addresses against the operator's policy, and hands out a
// [git.Remote] that is pinned to the checked addresses.
//
// Nothing is trusted for longer than one operation: addresses are resolved and
// checked again at every contact, so a name that pointed outside yesterday and
// inside today reaches nothing. A credential that the host refuses is asked for
// once more, fresh, before the refusal is believed.
package upstream
