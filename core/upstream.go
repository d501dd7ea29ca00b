package core

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/providers"
)

// Mode says how a synced repository is linked to its upstream.
type Mode = providers.Mode

// Upstream is the remote repository that a synced repository follows.
type Upstream struct {
	Provider      string // the word of the wire: "github", "gitlab", "sr.ht"
	Instance      string // the provider instance that serves it, a name of providers.hcl
	Mode          Mode
	Host          string // host or host:port; the provider's default is filled in
	Owner         string // may hold slashes (sub-groups)
	Name          string
	ID            string // the host's stable id; "" until it is known
	URL           string // clone URL without credentials
	DefaultBranch string // asked for at creation; "" follows the upstream's HEAD
}

// UpstreamState is what became of a repository at its host. Only a working
// upstream is fetched from; from every other state it resumes by itself.
type UpstreamState string

// The states of an upstream.
const (
	UpstreamActive    UpstreamState = ""          // works, as far as is known
	UpstreamArchived  UpstreamState = "archived"  // can be read, takes no pushes
	UpstreamPrivate   UpstreamState = "private"   // was public, and cannot be seen without a credential
	UpstreamRevoked   UpstreamState = "revoked"   // the credential or App grant opens it no more
	UpstreamSuspended UpstreamState = "suspended" // the App's installation is suspended
	UpstreamDeleted   UpstreamState = "deleted"   // the host says that there is no such repository
	UpstreamReplaced  UpstreamState = "replaced"  // another repository has its name: not followed
)

// Word returns the state as people read it, where UpstreamActive has its name.
func (s UpstreamState) Word() string {
	if s == UpstreamActive {
		return "active"
	}
	return string(s)
}

// Readable reports whether the upstream's git can be read.
func (s UpstreamState) Readable() bool { return s == UpstreamActive || s == UpstreamArchived }

// Gone reports whether the upstream is not there any more, so that whatever is
// found under its name may be another repository.
func (s UpstreamState) Gone() bool { return s == UpstreamDeleted || s == UpstreamReplaced }

// Visibility is who may read an upstream, as its host says.
type Visibility string

// The visibilities. Those that only members of the host may read are private.
const (
	VisibilityUnknown Visibility = "" // the host was not asked, or does not say
	VisibilityPublic  Visibility = "public"
	VisibilityPrivate Visibility = "private"
)

// UpstreamStore changes upstream links.
type UpstreamStore interface {
	// AttachUpstream links a local repository, with a fresh sync state.
	// KindConflict: it has an upstream.
	AttachUpstream(ctx context.Context, repoID string, up Upstream) error
	// MoveUpstream replaces the link of a synced repository and keeps its state.
	MoveUpstream(ctx context.Context, repoID string, up Upstream) error
	// SetUpstreamState sets state and since; it reports false if it was so already.
	SetUpstreamState(ctx context.Context, repoID string, s UpstreamState, since time.Time) (bool, error)
	// Visibility returns what SetVisibility recorded last of the upstream; a link that
	// [UpstreamStore.MoveUpstream] made one to another repository has forgotten it.
	Visibility(ctx context.Context, repoID string) (Visibility, error)
	// SetVisibility reports false if it was so already.
	SetVisibility(ctx context.Context, repoID string, v Visibility) (bool, error)
	// RecordUpstreamFailure writes LastErrorAt, LastClass and LastError, and raises
	// Failures to one if there was none: what the host says of the upstream outside of
	// a run.
	RecordUpstreamFailure(ctx context.Context, repoID string, at time.Time, class ErrorClass, text string) error
	// MarkSynced sets FirstSyncedAt: of a repository that had content before it was
	// attached.
	MarkSynced(ctx context.Context, repoID string, at time.Time) error
	// ResetUpstream empties what a sync state says of the upstream, which is another one
	// from now on: its state, failures, digest, brake, observations and skipped refs. The
	// numbers of requests and runs, FirstSyncedAt, ChangedAt and Notice stay.
	ResetUpstream(ctx context.Context, repoID string, at time.Time) error
}
