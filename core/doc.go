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
// API call, on its way through core/push and core/repo. A journal
// entry is the intent row written before any ref moves. docs/architecture.md
// tells the whole story.
package core
