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
	ChangedAt     time.Time // refs last moved here; zero: never, or not since that is recorded
	DiskBytes     int64     // of its folder, as it was last measured; 0: not yet
	PausedAt      time.Time // since when a person has its upstream left alone; zero: it is followed
	Upstream      *Upstream
	DeletedAt     time.Time // since when it is in the trash; zero: it is not
	KeptUntil     time.Time // when it is removed from the trash
}

// Paused reports whether the repository's upstream is left alone.
func (r Repository) Paused() bool { return r.Upstream != nil && !r.PausedAt.IsZero() }

// PausedMeans says what pausing does, for those who are about to.
const PausedMeans = "The upstream is left alone until it is resumed: no sync begins, one that runs ends, webhooks are noted and wait. " +
	"Reads go on with what is here. Pushes for the upstream are refused."

// PausedSentence says why something that needs the upstream is not done for a paused
// repository, and what to do.
const PausedSentence = "the mirror is paused: nothing is sent to its upstream or fetched from it until it is resumed (headwater repo resume)"

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

// ErrorClasses returns every class there is.
func ErrorClasses() []ErrorClass {
	return []ErrorClass{
		ClassAuth, ClassRevoked, ClassNotFound, ClassMoved, ClassProtocol, ClassRateLimited, ClassNetwork, ClassTimeout, ClassTooLarge,
		ClassRefused, ClassDiverged, ClassCorrupt, ClassUnavailable, ClassResource, ClassInternal,
	}
}

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
	Trigger       string    // of the run that is wanted: "api", "create", "push", "poll", "retry", "webhook"
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
	// PausedAt is since when a person has the upstream left alone; zero: it is followed.
	PausedAt time.Time
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
	Org      string
	Query    string     // case-insensitive substring of the name; "" matches all
	Provider string     // word or instance of the upstream's provider; "" matches all
	Host     string     // of the upstream, in any case; "" matches all
	Class    ErrorClass // of the failure that the last contact ended with; "" matches all
	// State leaves out what its rows say is in another state; "" matches all. What is
	// left may be in another one by what is not in the store, such as a run under way.
	State RepositoryState
	Sort  RepositorySort
	// Before is the id of the last repository of the page before, "" for the first page;
	// AfterKey is its Key. With [SortNewest] the id is enough.
	Before   string
	AfterKey string
	Limit    int // at most this many; must be positive
}

// RepositoryState is a state that repositories can be listed by.
type RepositoryState string

// The states that rows tell apart. Every other word matches all that have an upstream.
const (
	RepositoryLocal   RepositoryState = "local"   // has no upstream
	RepositoryPaused  RepositoryState = "paused"  // its upstream is left alone
	RepositoryFailing RepositoryState = "failing" // the last run failed
	RepositoryHeld    RepositoryState = "held"    // a person must confirm what the upstream lost
	RepositoryPending RepositoryState = "pending" // no sync has succeeded or failed yet
	// RepositoryDeleted is in the trash. No other state, and not "", matches it.
	RepositoryDeleted RepositoryState = "deleted"
)

// The other states, which need more than the rows of a listing.
const (
	RepositorySyncing     RepositoryState = "syncing"     // a run is under way
	RepositoryReady       RepositoryState = "ready"       // the last run succeeded
	RepositoryUnconfirmed RepositoryState = "unconfirmed" // the upstream has not answered for a push
	RepositoryRebuilding  RepositoryState = "rebuilding"  // the content is fetched again
	RepositoryWaiting     RepositoryState = "waiting"     // content is missing; a person must say go on
)

// RepositorySort is an order of repositories.
type RepositorySort string

// The orders. Those that are equal in one are newest first.
const (
	SortNewest     RepositorySort = ""
	SortName       RepositorySort = "name"
	SortSize       RepositorySort = "size"        // largest first
	SortLastChange RepositorySort = "last-change" // refs that moved last first
	SortLag        RepositorySort = "lag"         // longest without a confirmation first, never confirmed before all; those without an upstream last
)

// ListedRepository is a repository of a listing.
type ListedRepository struct {
	Repository
	Key string // where it is in the order, for AfterKey
}

// RepositoryStore keeps repositories and their upstream links.
type RepositoryStore interface {
	// CreateRepository inserts the repository and, if it is synced, its
	// upstream link and sync state. KindConflict: the name is taken.
	CreateRepository(ctx context.Context, r Repository) error
	Repository(ctx context.Context, org, name string) (Repository, error)
	RepositoryByID(ctx context.Context, id string) (Repository, error)
	// Repositories lists in the order of the filter. KindInvalid: the limit is not
	// positive, or AfterKey is none that the order has.
	Repositories(ctx context.Context, f RepositoryFilter) ([]ListedRepository, error)
	// SetDiskSize records how much a repository's folder holds, in bytes.
	SetDiskSize(ctx context.Context, id string, bytes int64, at time.Time) error
	// SetPaused has the upstream of a repository left alone since a time, or with the zero
	// time followed again. It reports false if it was so already. KindNotFound: the
	// repository has no upstream.
	SetPaused(ctx context.Context, id string, at time.Time) (bool, error)
	// RepositoryIDs lists every id of every organisation, in order, but for those in
	// the trash: see [TrashStore].FolderIDs.
	RepositoryIDs(ctx context.Context) ([]string, error)
	SetDefaultBranch(ctx context.Context, id, branch string) error
	// PinDefaultBranch records that a synced repository keeps this default
	// branch whatever the upstream's HEAD says; "" follows the upstream.
	PinDefaultBranch(ctx context.Context, id, branch string) error
	SetObjectFormat(ctx context.Context, id, format string) error
	// BumpVersion raises the version by one, sets ChangedAt to now and returns the new version.
	BumpVersion(ctx context.Context, id string) (int64, error)
	// DeleteRepository removes the repository, also one in the trash, and every row that belongs to it
	// but its events.
	DeleteRepository(ctx context.Context, id string) error
	// DetachUpstream removes upstream link, sync state and credential. It is
	// idempotent: no link is no error.
	DetachUpstream(ctx context.Context, id string) error
	// SetUpstreamID records the id by which the host knows the linked repository.
	SetUpstreamID(ctx context.Context, id, upstreamID string) error
}
