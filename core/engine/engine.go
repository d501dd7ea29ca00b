// Package engine builds the parts of the core and runs them. Its methods are the
// use cases that need several parts; the others are calls of the parts, which
// [Engine.Services] returns. It holds no rules of its own beyond the order in which
// the parts are used.
package engine

import (
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
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
	// Listed is what a listing of the host said of the repository a moment ago; the
	// host is not asked about it again. nil: none did.
	Listed *providers.Remote
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
	Identity upstream.Identity
	// Damage is what is wrong with the repository's folder; nil: nothing is.
	Damage *core.Damage
	// LFS is what is still to be fetched of LFS; nil: the repository fetches on demand.
	LFS *core.LFSBacklog
	// Held are the rewrites that keep refs from where the upstream has them.
	Held []core.Rewrite
}
