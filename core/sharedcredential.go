package core

import (
	"context"
	"strings"
	"time"

	"github.com/headwater-git/headwater/providers"
)

// SharedCredential is an upstream credential of an organisation, which many
// repositories use. It is sent to repositories of Host whose owner is Owner or below
// it, and to no others, whatever uses it.
type SharedCredential struct {
	ID          string // "gsc_" and a ULID
	Org         string
	Name        string // unique in the organisation
	Provider    string // the word of the wire
	Instance    string // of the provider
	Host        string // host or host:port, lower case
	Owner       string // organisation, group, workspace or user; may hold slashes
	Username    string // may be empty: the provider chooses
	Secret      providers.Secret
	Previous    *PreviousCredential // of a rotation whose overlap has not ended; nil: none
	ExpiresAt   time.Time           // as the host says; zero: it does not
	CheckedAt   time.Time           // when the host was last asked about it
	CheckError  string              // what was wrong then, redacted; "": it worked
	CreatedAt   time.Time
	UpdatedAt   time.Time
	UsedByCount int // how many repositories use it
}

// PreviousCredential is what a rotation replaced.
type PreviousCredential struct {
	Username string
	Secret   providers.Secret
	Until    time.Time // from when on it is not used any more
}

// Covers reports whether the credential may be sent to an upstream.
func (c SharedCredential) Covers(up Upstream) bool {
	if up.Mode != providers.ModeGeneric || !strings.EqualFold(up.Host, c.Host) {
		return false
	}
	owner, top := strings.ToLower(up.Owner), strings.ToLower(c.Owner)
	return owner == top || strings.HasPrefix(owner, top+"/")
}

// Stored returns the credential as plugins take it.
func (c SharedCredential) Stored() *providers.StoredCredential {
	return &providers.StoredCredential{Username: c.Username, Secret: c.Secret}
}

// SharedCredentialStore keeps shared credentials, sealed.
type SharedCredentialStore interface {
	// CreateSharedCredential: KindConflict if the organisation has one of the name.
	CreateSharedCredential(ctx context.Context, c SharedCredential) error
	// UpdateSharedCredential replaces user name, secret, what was before, and what is
	// known of it.
	UpdateSharedCredential(ctx context.Context, c SharedCredential) error
	// RecordCredentialCheck writes ExpiresAt, CheckedAt and CheckError of a credential that
	// a host was asked about. KindNotFound if it was deleted meanwhile, or has another
	// UpdatedAt: what a host says of a replaced secret says nothing of the next one.
	RecordCredentialCheck(ctx context.Context, asked SharedCredential) error
	// DeleteSharedCredential: KindConflict while repositories use it.
	DeleteSharedCredential(ctx context.Context, id string) error
	// SharedCredential finds one by its name, or its id.
	SharedCredential(ctx context.Context, org, nameOrID string) (SharedCredential, error)
	// SharedCredentials returns those of an organisation by name, "" is all.
	SharedCredentials(ctx context.Context, org string) ([]SharedCredential, error)
	// AssignSharedCredential makes a repository use a credential in the place of any
	// other shared one. KindConflict: it has a credential of its own.
	AssignSharedCredential(ctx context.Context, repoID, credentialID string, at time.Time) error
	// UnassignSharedCredential: KindNotFound if the repository uses none.
	UnassignSharedCredential(ctx context.Context, repoID string) error
	// SharedCredentialOf returns the one that a repository uses, whether it covers the
	// repository's upstream or not, without its secrets. KindNotFound: it uses none.
	SharedCredentialOf(ctx context.Context, repoID string) (SharedCredential, error)
	// RepositoriesWith returns those that use a credential, by id.
	RepositoriesWith(ctx context.Context, credentialID string) ([]Repository, error)
}
