package access

import (
	"slices"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/limit"
)

// orgWide is the value of the claim "repo" that names no repository.
const orgWide = "org"

// Identity is who a verified token speaks for and what it opens.
type Identity struct {
	Org       string
	Subject   string // free text of the customer, for logs only
	Repo      string // the claim "repo" as it is; see OrgWide
	Scopes    []Scope
	Policy    Policy
	Demand    core.Demand // how fresh a copy reads must see
	IssuedAt  time.Time   // zero: the token does not tell
	ExpiresAt time.Time
	KeyID     string // id of the [core.Key] that verified the token
	TokenID   string // claim "jti"; "" if there is none
	TokenHash string // see [Hash]
	IssuedBy  string // of a token that the server issued: id of the key whose token asked for it

	// Unexported, so that no [Authenticator] can say them.
	issued     bool
	operations map[string]bool // of an issued token
	external   bool            // of a token that an Authenticator knew
	stranger   string          // of whoever has no token: their address
}

// AnonymousSubject is the subject of those who read without a token.
const AnonymousSubject = "anonymous"

// Anonymous returns the identity of whoever reads a repository without a token from an
// address: it opens the repository for fetches, and nothing else.
func Anonymous(repo core.Repository, address string) Identity {
	return Identity{Org: repo.Org, Subject: AnonymousSubject, Repo: repo.ID, Scopes: []Scope{GitRead}, stranger: address}
}

// Stranger returns the address of whoever has no token; "": there is one.
func (id Identity) Stranger() string { return id.stranger }

// Issued reports whether the server issued the token itself. Such a token opens no more
// than the operations that it names, and issues no other.
func (id Identity) Issued() bool { return id.issued }

// Allows reports whether the token is for an operation, by its name in the API or
// [GitFetch] or [GitPush]. Tokens that organisations sign are for every one. A name that
// is unknown here opens nothing.
func (id Identity) Allows(operation string) bool { return !id.issued || id.operations[operation] }

// Actor returns who acts, as far as the token tells.
func (id Identity) Actor() core.Actor {
	return core.Actor{Subject: id.Subject, Org: id.Org, KeyID: id.KeyID, TokenID: id.TokenID, TokenHash: id.TokenHash}
}

// Caller returns for whom the use of the server is counted.
func (id Identity) Caller() limit.Caller {
	if id.stranger != "" {
		// All of them together are like one more organisation, so that they do not use up
		// the places of the one whose repository they read.
		return limit.Caller{Key: id.stranger, Subject: AnonymousSubject}
	}
	return limit.Caller{Organisation: id.Org, Key: id.KeyID, Subject: id.Subject}
}

// Can reports whether the token carries the scope or one that includes it.
func (id Identity) Can(s Scope) bool {
	return slices.Contains(id.Scopes, s) || s == GitRead && slices.Contains(id.Scopes, GitWrite)
}

// OrgWide reports whether the token names no single repository: its claim
// "repo" is absent, empty or "org". Such a token opens organisation-wide calls
// only, no repository.
func (id Identity) OrgWide() bool { return id.Repo == "" || id.Repo == orgWide }

// Names reports whether the claim "repo" means the repository, by its public
// name or by its internal id, and it belongs to the token's organisation.
func (id Identity) Names(repo core.Repository) bool {
	return !id.OrgWide() && id.Org == repo.Org && (id.Repo == repo.Name || id.Repo == repo.ID)
}
