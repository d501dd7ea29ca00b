package core

import (
	"context"
	"time"
)

// Org is an organisation: the owner of repositories and of the public keys
// that verify its tokens. Name is the "iss" claim of its tokens.
type Org struct {
	Name       string
	CreatedAt  time.Time
	DeletingAt time.Time // since when it is being deleted; zero: it is not
}

// Key is a public key that verifies an organisation's tokens.
type Key struct {
	ID         string // "key_" and a ULID
	Org        string
	KeyID      string // the JWT header "kid"; may be empty
	Algorithm  string // ES256, RS256 or EdDSA: pinned, a token with another is refused
	PublicPEM  string // SPKI
	CreatedAt  time.Time
	DisabledAt time.Time // zero: active
	// Issuer: the server made it, and signs tokens with it itself. No other key can
	// have its KeyID, see [ReservedKeyID].
	Issuer bool
	// VerifiesUntil is when the last token of an issuer key that signs no more has
	// ended; zero: it has not been replaced.
	VerifiesUntil time.Time
}

// OrgStore keeps organisations and their public keys.
type OrgStore interface {
	CreateOrg(ctx context.Context, o Org) error
	Org(ctx context.Context, name string) (Org, error)
	Orgs(ctx context.Context) ([]Org, error) // by name
	// BeginDeleteOrg has an organisation deleted: from here on it has no keys, mirror
	// sets and sessions, and takes no new keys and repositories. It is idempotent.
	// KindNotFound: there is none.
	BeginDeleteOrg(ctx context.Context, name string, at time.Time) error
	// FinishDeleteOrg removes an organisation that is being deleted, with its webhooks,
	// shared credentials, limits and events. The audit stays. KindConflict: it has
	// repositories, in the trash or not. KindNotFound: it is not being deleted.
	FinishDeleteOrg(ctx context.Context, name string) error

	// AddKey adds a key of the organisation's own. KindInvalid: its KeyID is reserved.
	AddKey(ctx context.Context, k Key) error
	Keys(ctx context.Context, org string) ([]Key, error) // oldest first, disabled ones too
	// DisableKey makes a key verify no more. One that the server signs with loses its
	// private half.
	DisableKey(ctx context.Context, org, id string, at time.Time) error
}
