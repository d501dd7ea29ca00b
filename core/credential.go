package core

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/providers"
)

// Credential is the stored upstream credential of one repository.
type Credential struct {
	ID        string // "ggc_" and a ULID
	RepoID    string
	Username  string           // may be empty: the provider chooses
	Host      string           // the only host that it is sent to, as in Upstream; "" is none yet
	Secret    providers.Secret // sealed at rest
	CreatedAt time.Time
	UpdatedAt time.Time
	// Shared is the name of the shared credential that this is; "": it is the
	// repository's own.
	Shared string
	// Previous is what a rotation of a shared credential replaced, while that may
	// still be used; nil: nothing.
	Previous *PreviousCredential
}

// Stored returns the credential as plugins take it.
func (c Credential) Stored() *providers.StoredCredential {
	return &providers.StoredCredential{Username: c.Username, Secret: c.Secret}
}

// CredentialStore keeps upstream credentials, sealed.
type CredentialStore interface {
	// CreateCredential: KindConflict if the repository has one already.
	CreateCredential(ctx context.Context, c Credential) error
	// UpdateCredential replaces username, host and secret of the one with c.ID.
	UpdateCredential(ctx context.Context, c Credential) error
	DeleteCredential(ctx context.Context, id string) error
	CredentialByID(ctx context.Context, id string) (Credential, error)
	// CredentialByRepo returns the repository's own credential or, as if it were that,
	// the shared one that it uses, if that one covers the repository's upstream.
	CredentialByRepo(ctx context.Context, repoID string) (Credential, error)
	// ResealCredentials opens and seals every secret anew, those of webhooks
	// too, after a change of the sealing key; it returns how many there were.
	ResealCredentials(ctx context.Context) (int, error)
	// DropLostSecrets removes every secret that the sealing key does not open, so that
	// another can be stored in its place, and returns what had one. A webhook is switched
	// off, a shared credential has an empty secret, a key that signed tokens does so no
	// more; until is when the last token of it has expired.
	DropLostSecrets(ctx context.Context, until time.Time) ([]LostSecret, error)
}

// LostSecret is something whose secret was sealed with a key that is lost.
type LostSecret struct {
	Kind LostSecretKind
	Org  string
	Name string // of the repository or shared credential, id of the webhook
}

// LostSecretKind says what had a secret.
type LostSecretKind string

// The kinds of lost secrets that somebody has to give again.
const (
	LostCredential       LostSecretKind = "credential"        // of a repository
	LostSharedCredential LostSecretKind = "shared credential" // of many
	LostWebhook          LostSecretKind = "webhook"           // a subscription of events
)
