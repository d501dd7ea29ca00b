package core

import (
	"context"
	"net"
	"strings"
	"time"
	"unicode"
)

// SystemSubject is the subject of what the server does unasked.
const SystemSubject = "sync"

// Actor is who asks for something, as far as it is known.
type Actor struct {
	Subject    string // claim "sub" of the token; [SystemSubject] for the server itself
	Org        string
	KeyID      string // id of the [Key] that verified the token
	TokenID    string // claim "jti" of the token
	TokenHash  string // by which a token is revoked, hexadecimal; see access.Hash
	RemoteAddr string // address of the client, without port
	UserAgent  string
}

// maxUserAgent bounds, in bytes, what is kept of a User-Agent.
const maxUserAgent = 256

// From returns the actor with the address (host and port) that a request came
// from and the program that it says sent it, fit to be kept and shown.
func (a Actor) From(remoteAddr, userAgent string) Actor {
	if host, _, err := net.SplitHostPort(remoteAddr); err == nil {
		remoteAddr = host
	}
	a.RemoteAddr = remoteAddr
	if len(userAgent) > maxUserAgent {
		userAgent = userAgent[:maxUserAgent]
	}
	// Anybody can send anything; a terminal shall not obey it.
	a.UserAgent = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, userAgent)
	return a
}

// Outcome says what became of a write.
type Outcome string

// The outcomes of writes.
const (
	OutcomeOK      Outcome = "ok"
	OutcomePartial Outcome = "partial" // some refs of a push were done, others not
	OutcomeRefused Outcome = "refused" // it was not allowed, or its state forbade it
	OutcomeFailed  Outcome = "failed"  // it could not be done, or it is not known whether it was
)

// OutcomeOf returns the outcome of a write that ended with an error of that
// kind; "" is none.
func OutcomeOf(k Kind) Outcome {
	switch k {
	case "":
		return OutcomeOK
	case KindInternal, KindUpstreamUnavailable, KindUpstreamTimeout, KindTimeout:
		return OutcomeFailed
	}
	return OutcomeRefused
}

// What opened the upstream, beside the ids of stored credentials.
const (
	CredentialApp  = "app"  // a token of the App
	CredentialNone = "none" // nothing: the upstream was asked as anybody
)

// AuditEntry records one write and its outcome. Entries are only added.
type AuditEntry struct {
	ID         string // "aud_" and a ULID
	Org        string
	RepoID     string // "" if the write concerned the organisation, or no repository that exists
	RepoName   string // at the time: the entry outlives the repository
	At         time.Time
	Actor      Actor
	Action     string      // "push", "repository.create", "credential.update", ... : noun and verb
	Target     string      // id or name of what was written, if not refs or the repository itself: a credential, a webhook, a key
	Credential string      // what opened the upstream: [CredentialApp], a "ggc_" id, [CredentialNone], or "" if no upstream was asked
	HostLogin  string      // account at the host that the upstream saw, if known
	Updates    []RefUpdate // that were done
	Outcome    Outcome
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

// AuditStore keeps who did what. There is no way to change or delete an entry.
type AuditStore interface {
	AddAudit(ctx context.Context, e AuditEntry) error
	Audit(ctx context.Context, f AuditFilter) ([]AuditEntry, error)
}
