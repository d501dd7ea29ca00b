package core

import (
	"context"
	"strings"
	"time"

	"github.com/headwater-git/headwater/providers"
)

// issuerKeyID is the JWT header "kid" that belongs to the server: alone, and as what
// comes before a colon.
const issuerKeyID = "headwater"

// ReservedKeyID reports whether a JWT header "kid" belongs to the keys with which the
// server signs tokens itself: "headwater", and what begins with "headwater:", in any
// case of letters. No organisation can register it, and a token that carries one is
// verified by such keys alone.
func ReservedKeyID(kid string) bool {
	name, _, _ := strings.Cut(kid, ":")
	return strings.EqualFold(strings.TrimSpace(name), issuerKeyID)
}

// IssuerKeyID returns the header "kid" of the issuer key with an id ("key_" and a ULID).
func IssuerKeyID(id string) string { return issuerKeyID + ":" + id }

// RevocationKind says what a revocation is about.
type RevocationKind string

// The kinds of revocations.
const (
	RevokedToken   RevocationKind = "jti"     // the token of that claim "jti"
	RevokedHash    RevocationKind = "hash"    // the token of that hash, which the audit shows
	RevokedSubject RevocationKind = "subject" // tokens of that claim "sub", issued not after a time
	RevokedKey     RevocationKind = "key"     // tokens of that key, and those issued on its authority
)

// Revocation refuses tokens of one organisation although they verify.
type Revocation struct {
	Seq          int64  // place in the order of all revocations; given by the store, it only grows
	ID           string // "rev_" and a ULID
	Org          string
	Kind         RevocationKind
	Value        string    // what Kind says; of a key its id
	IssuedBefore time.Time // of a subject: tokens with a later claim "iat" are not meant
	ExpiresAt    time.Time // when the last of the tokens ends; zero: never forgotten
	CreatedAt    time.Time
	RevokedBy    string // token subject
	Reason       string
}

// TokenStore keeps the keys with which the server issues tokens, and what revokes
// tokens.
type TokenStore interface {
	// AddIssuerKey adds a key with which the server signs from now on, and seals its
	// private half. KindConflict: the organisation has one that signs.
	AddIssuerKey(ctx context.Context, k Key, private providers.Secret) error
	// IssuerKey returns the key that signs, and its private half. KindNotFound: none.
	IssuerKey(ctx context.Context, org string) (Key, providers.Secret, error)
	// RetireIssuerKey makes the key sign no more: its private half is deleted, its
	// public one verifies until a time. KindNotFound: no key of that id signs.
	RetireIssuerKey(ctx context.Context, org, id string, until time.Time) error

	// AddRevocation adds a revocation and returns its place in the order.
	AddRevocation(ctx context.Context, r Revocation) (int64, error)
	// RevocationsAfter lists those of all organisations above a place, in order.
	RevocationsAfter(ctx context.Context, seq int64, limit int) ([]Revocation, error)
	// Revocations lists those of an organisation below a place (0 for the newest),
	// newest first.
	Revocations(ctx context.Context, org string, before int64, limit int) ([]Revocation, error)
	// DeleteRevocations deletes those whose tokens ended before a time.
	DeleteRevocations(ctx context.Context, before time.Time, limit int) (int, error)
}
