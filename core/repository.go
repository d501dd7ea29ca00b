package core

import (
	"context"
	"fmt"
	"time"
)

// Repository is one local bare repository. It is synced if Upstream is not
// nil, else local.
type Repository struct {
	ID            string // "repo_" and a ULID; stable, names the folder on disk
	Org           string
	Name          string // public name, may hold slashes
	DefaultBranch string // short name
	ObjectFormat  string // "sha1" or "sha256"
	Version       int64  // raised by every applied ref transaction
	CreatedAt     time.Time
	Upstream      *Upstream
}

// ErrorClass says why a sync failed. Each class has its own retry plan.
type ErrorClass string

// The error classes of sync runs, in the words of the API.
const (
	ClassAuth        ErrorClass = "auth"         // the host refused the credential
	ClassRevoked     ErrorClass = "revoked"      // the grant is gone (App suspended or removed)
	ClassNotFound    ErrorClass = "not_found"    // no such repository or ref at the host
	ClassMoved       ErrorClass = "moved"        // the host answered with a redirect
	ClassProtocol    ErrorClass = "protocol"     // what answered does not speak git: a web page, a proxy
	ClassRateLimited ErrorClass = "rate_limited" // the host said slow down
	ClassNetwork     ErrorClass = "network"      // no connection, DNS, TLS, reset
	ClassTimeout     ErrorClass = "timeout"      // no progress for too long
	ClassTooLarge    ErrorClass = "too_large"    // over a size or disk limit
	ClassRefused     ErrorClass = "refused"      // the host or our own address policy refused
	ClassDiverged    ErrorClass = "diverged"     // held back: the upstream lost most of its refs at once
	ClassCorrupt     ErrorClass = "corrupt"      // objects failed verification, or are incomplete at the upstream
	ClassUnavailable ErrorClass = "unavailable"  // the host answered 5xx
	ClassResource    ErrorClass = "resource"     // this server ran out of memory, disk space, open files or processes
	ClassInternal    ErrorClass = "internal"     // our fault
)

// SyncState is the state of following one upstream.
//
// Wanted and Served are generations: asking for a sync raises Wanted; a run
// serves the Wanted it read at its start. Served < Wanted means there is work.
// So triggers fold to at most one running and one waiting run, and a caller
// that needs "a run that began after I asked" waits for its own generation: in
// Tried, since a failed run serves nothing.
type SyncState struct {
	RepoID        string
	Wanted        int64
	Served        int64
	Tried         int64     // the newest generation whose run has ended, well or not
	WantedRef     string    // limit of the waiting request; "" means all branches and tags
	Trigger       string    // what raised Wanted last: "api", "create", "push", "poll", "retry", "webhook"
	NextAttemptAt time.Time // zero: at once, if there is work
	Failures      int       // consecutive
	Runs          int64     // finished runs
	FirstSyncedAt time.Time // zero: never yet, the repository is not ready
	LastSuccessAt time.Time
	LastErrorAt   time.Time
	LastClass     ErrorClass
	LastError     string // redacted sentence of the last failure; "" after a success
	Digest        string // of the upstream refs, when tracking and public refs equal it; else ""
	// BrakeDigest is the digest of a listing that the mass-deletion brake held back,
	// and BrakeSince when that was first listed.
	BrakeDigest string
	BrakeSince  time.Time
	// ObservedAt is when the upstream last confirmed what is here: a listing
	// that equalled the copy, or a run that made it equal. It is the time before
	// the question was sent.
	ObservedAt time.Time
	ChangedAt  time.Time // the upstream was last seen to have changed
	PollAt     time.Time // next look without a request; zero: none
	// Notice is the last sync event, so that retries do not repeat it.
	Notice        SyncNotice
	UpstreamState UpstreamState // what became of the repository at the host
	UpstreamSince time.Time     // since when it is so; zero: it never changed
	// Skipped are the upstream's refs that are not mirrored, by name.
	Skipped []SkippedRef
}

// NoticeKind is what the last event of a repository's syncs said.
type NoticeKind string

// The kinds of notices.
const (
	NoticeNone    NoticeKind = ""
	NoticeStarted NoticeKind = "started"
	NoticeFailed  NoticeKind = "failed"
	NoticeDone    NoticeKind = "done" // a sync ended, or nothing was said that needs an end
)

// SyncNotice is the last event of a repository's syncs.
type SyncNotice struct {
	Kind       NoticeKind
	Class      ErrorClass // of a failure
	Generation int64      // that the run served: it tells a retry from a new request
}

// Pending reports whether the notice is to be followed by one of the end.
func (n SyncNotice) Pending() bool { return n.Kind == NoticeStarted || n.Kind == NoticeFailed }

// DueSync is what a scheduler has to know of a repository that a run or a look is
// due for.
type DueSync struct {
	RepoID   string
	Instance string    // provider instance of the upstream; "" if it was detached meanwhile
	Host     string    // of the upstream
	Trigger  string    // what raised Wanted last
	At       time.Time // NextAttemptAt of a run, PollAt of a look
}

// SkippedRef is a ref of the upstream that cannot be beside another one, because
// its name is a folder of that, or that of it.
type SkippedRef struct {
	Ref           string `json:"ref"`
	ConflictsWith string `json:"conflicts_with"` // what is mirrored in its place; "" if its name is too long to be stored here
}

// Reason says why it is skipped, and what to do.
func (r SkippedRef) Reason() string {
	if r.ConflictsWith == "" {
		return fmt.Sprintf("the upstream has %.80q..., whose name is too long to be stored here: %s; rename it there, then sync", r.Ref, RefNameLimits)
	}
	return fmt.Sprintf("the upstream has %q and %q, which cannot both be here: delete or rename one of them there, then sync", r.ConflictsWith, r.Ref)
}

// Ready reports whether the first sync has succeeded.
func (s SyncState) Ready() bool { return !s.FirstSyncedAt.IsZero() }

// Run is one run of a sync, one row.
type Run struct {
	ID          string // "run_" and a ULID
	RepoID      string
	Trigger     string
	Ref         string // "" = everything
	First       bool   // no run had succeeded before
	StartedAt   time.Time
	FinishedAt  time.Time  // zero: running
	Outcome     string     // "", "succeeded", "unchanged", "failed", "held", "interrupted"
	Class       ErrorClass // of a failure
	Error       string     // redacted host text
	RefsCreated int
	RefsUpdated int
	RefsDeleted int
	Bytes       int64 // received from the upstream
	RefsForced  int   // of the updated ones: not fast-forward
	RefsHeld    int   // left where they are by policy
	Phases      []Phase
}

// Phase is one part of a run.
type Phase struct {
	Name     string        `json:"name"` // "list", "fetch", "apply"
	Duration time.Duration `json:"duration"`
}

// Progress is a running sync as a person wants to see it.
type Progress struct {
	Phase          string    `json:"phase"` // git's own words: "Receiving objects", ...
	Percent        int       `json:"percent"`
	Objects        int64     `json:"objects"`
	TotalObjects   int64     `json:"total_objects"`
	Bytes          int64     `json:"bytes"`
	BytesPerSecond int64     `json:"bytes_per_second"`
	StartedAt      Timestamp `json:"started_at"`
	Step           int       `json:"step"` // 1-based step of the first mirror
	Steps          int       `json:"steps"`
}

// RepositoryFilter selects repositories of one organisation.
type RepositoryFilter struct {
	Org    string
	Query  string // case-insensitive substring of the name; "" matches all
	Before string // only ids below this one: the cursor; "" starts at the newest
	Limit  int    // at most this many; must be positive
}

// RepositoryStore keeps repositories and their upstream links.
type RepositoryStore interface {
	// CreateRepository inserts the repository and, if it is synced, its
	// upstream link and sync state. KindConflict: the name is taken.
	CreateRepository(ctx context.Context, r Repository) error
	Repository(ctx context.Context, org, name string) (Repository, error)
	RepositoryByID(ctx context.Context, id string) (Repository, error)
	// Repositories lists newest first (ids are ULIDs).
	Repositories(ctx context.Context, f RepositoryFilter) ([]Repository, error)
	// RepositoryIDs lists every id of every organisation, in order.
	RepositoryIDs(ctx context.Context) ([]string, error)
	SetDefaultBranch(ctx context.Context, id, branch string) error
	// PinDefaultBranch records that a synced repository keeps this default
	// branch whatever the upstream's HEAD says; "" follows the upstream.
	PinDefaultBranch(ctx context.Context, id, branch string) error
	SetObjectFormat(ctx context.Context, id, format string) error
	// BumpVersion raises the version by one and returns the new one.
	BumpVersion(ctx context.Context, id string) (int64, error)
	// DeleteRepository removes the repository and every row that belongs to it
	// but its events.
	DeleteRepository(ctx context.Context, id string) error
	// DetachUpstream removes upstream link, sync state and credential. It is
	// idempotent: no link is no error.
	DetachUpstream(ctx context.Context, id string) error
	// SetUpstreamID records the id by which the host knows the linked repository.
	SetUpstreamID(ctx context.Context, id, upstreamID string) error
}
