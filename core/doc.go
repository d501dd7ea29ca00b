// Package core holds Headwater's domain: the types, the error kinds and the
// small interfaces that the use cases stand on. It imports only the standard
// library and the provider contract; every other package points to it.
//
// # Vocabulary
//
// An upstream is the remote repository that a repository follows; a repository
// with one is synced, without one it is local. A sync is one run that makes the
// local refs equal to the upstream's. A tracking ref (refs/internal/upstream/*)
// is the last upstream state seen. A write session is one write, a push or an
// API call, that core/push and core/repo carry out. A journal
// entry is the intent row written before any ref moves. docs/architecture.md
// describes how they work together.
package core
