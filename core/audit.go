package core

import "time"

// Actor is who asks for something, as far as it is known.
type Actor struct {
	Subject    string // claim "sub" of the token; "sync" for the server itself
	Org        string
	KeyID      string // id of the [Key] that verified the token
	RemoteAddr string // address of the client, without port
	UserAgent  string
}

// AuditEntry records one write and its outcome. Entries are only added.
type AuditEntry struct {
	ID         string // "aud_" and a ULID
	Org        string
	RepoID     string // "" if the write concerned the organisation
	RepoName   string // at the time: the entry outlives the repository
	At         time.Time
	Actor      Actor
	Action     string // "push", "repository.create", "credential.update", ... : noun and verb
	Credential string // what opened the upstream: "app", a "ggc_" id, "none", or "" if no upstream was asked
	HostLogin  string // account at the host that the upstream saw, if known
	Updates    []RefUpdate
	Outcome    string // "ok", "refused", "failed", "partial"
	Message    string // redacted reason of what was not done
}

// AuditFilter selects audit entries of one organisation, newest first.
type AuditFilter struct {
	Org    string
	RepoID string // "" is all
	Actor  string // subject; "" is all
	Action string // "" is all
	Before string // cursor
	Limit  int    // must be positive
}
