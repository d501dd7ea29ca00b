// Package engine builds the parts of the core and is the face that the server
// talks to: one method per use case. It holds no rules of its own beyond the
// order in which the parts are used.
package engine

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/mirror"
)

// UpstreamRequest is the wish to link a new repository to an upstream, in the
// words of the API's base_repo.
type UpstreamRequest struct {
	Provider      string // wire word: "github", "gitlab", ...; any case
	Public        bool   // auth.auth_type is "public"
	Owner         string
	Name          string
	Host          string // upstream_host; "" is the provider's default
	DefaultBranch string // base_repo.default_branch; "" follows the upstream
}

// CreateRequest is the wish for a new repository.
type CreateRequest struct {
	Org           string
	Name          string
	DefaultBranch string // "" is "main"
	Upstream      *UpstreamRequest
	Copy          *CopyRequest // not together with Upstream
}

// CopyRequest is the wish for a repository that begins with the content of
// another one of the organisation, which the caller may read.
type CopyRequest struct {
	From     core.Repository
	Revision string // "" is the default branch
	Snapshot bool   // without history, in one commit
	Initial  commit.Signed
}

// SyncStatus is what a caller may know of a synced repository's state.
type SyncStatus struct {
	core.SyncState
	Running  bool
	Progress *core.Progress // of the running sync, nil if none runs
	LastRun  *core.Run
	Webhook  *core.InboundWebhook // how the host tells of changes; nil: not known yet
	// Unconfirmed are the refs of which it is not known yet whether the upstream
	// took their last update; they are locked.
	Unconfirmed []string
	// Expected is how many announced refs no listing has shown yet.
	Expected int
	// HostRests is until when the host is left alone, because it limits or
	// cannot be reached; zero: it is not.
	HostRests time.Time
	// Identity is what is known of the upstream's stable id.
	Identity mirror.Identity
	// Held are the rewrites that keep refs from where the upstream has them.
	Held []core.Rewrite
}

// Repositories is what the REST layer needs of the engine. [*Engine]
// implements it; nobody else needs to.
type Repositories interface {
	// CreateRepository makes the repository on disk and in the store and
	// returns it when it can be used. KindInvalid: bad name, branch, provider
	// or host. KindConflict: the name is taken (or is linked already).
	// KindPrecondition: the provider lacks its configuration. KindNotFound: a
	// public upstream that cannot be read.
	CreateRepository(ctx context.Context, r CreateRequest) (core.Repository, error)
	// Repository finds by public name or by internal id.
	Repository(ctx context.Context, org, nameOrID string) (core.Repository, error)
	ListRepositories(ctx context.Context, f core.RepositoryFilter) ([]core.Repository, error)
	// SetDefaultBranch: KindNotFound if the branch does not exist in a
	// repository that has branches.
	SetDefaultBranch(ctx context.Context, repo core.Repository, branch string) (core.Repository, error)
	DeleteRepository(ctx context.Context, repo core.Repository) error
	// Detach forgets link and credential and keeps the content. Idempotent.
	Detach(ctx context.Context, repo core.Repository) error
	// PullUpstream asks for a sync and returns at once: it has ended, well or
	// not, when [core.SyncState.Tried] has reached wanted. KindInvalid: no
	// upstream configured, or a bad ref.
	PullUpstream(ctx context.Context, repo core.Repository, ref, trigger string) (wanted int64, err error)
	SyncStatus(ctx context.Context, repo core.Repository) (SyncStatus, error)
	Runs(ctx context.Context, repo core.Repository, before string, limit int) ([]core.Run, error)

	// CreateCredential: KindConflict if there is one, KindInvalid for a
	// repository without upstream or with one that uses no stored credential.
	CreateCredential(ctx context.Context, repo core.Repository, q CredentialRequest) (core.Credential, error)
	// UpdateCredential: a nil username keeps the old one.
	UpdateCredential(ctx context.Context, org, id string, q CredentialRequest) (core.Credential, error)
	DeleteCredential(ctx context.Context, org, id string) error
	CredentialByRepo(ctx context.Context, repo core.Repository) (core.Credential, error)

	// CheckReady returns a KindSyncing error while the first sync of a synced
	// repository runs; content and git calls ask it first.
	CheckReady(ctx context.Context, repo core.Repository) error
	// Ready reports whether the server can take requests (store reachable, not
	// shutting down), for /readyz.
	Ready(ctx context.Context) error
	Now() time.Time
}
