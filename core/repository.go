package core

import (
	"fmt"
	"time"

	"github.com/headwater-git/headwater/providers"
)

// Org is an organisation: the owner of repositories and of the public keys
// that verify its tokens. Name is the "iss" claim of its tokens.
type Org struct {
	Name      string
	CreatedAt time.Time
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
}

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

// Credential is the stored upstream credential of one repository.
type Credential struct {
	ID        string // "ggc_" and a ULID
	RepoID    string
	Username  string           // may be empty: the provider chooses
	Host      string           // the only host that it is sent to, as in Upstream; "" is none yet
	Secret    providers.Secret // sealed at rest
	CreatedAt time.Time
	UpdatedAt time.Time
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
	ClassResource    ErrorClass = "resource"     // git ran out of memory, files or processes on this server
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
	ConflictsWith string `json:"conflicts_with"` // what is mirrored in its place
}

// Reason says why it is skipped, and what to do.
func (r SkippedRef) Reason() string {
	return fmt.Sprintf("the upstream has %q and %q, which cannot both be here: delete or rename one of them there, then sync", r.ConflictsWith, r.Ref)
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

// JournalState is the state of a journal entry.
type JournalState string

// A journal entry is sent before anything moves, applied when local refs and
// events are recorded, dropped when nothing moved, and lagging when the
// upstream moved but the local copy could not follow yet.
const (
	JournalSent    JournalState = "sent"
	JournalApplied JournalState = "applied"
	JournalDropped JournalState = "dropped"
	JournalLagging JournalState = "lagging"
)

// Source says what caused a ref change.
type Source string

// The sources of ref changes.
const (
	SourcePush Source = "push"
	SourceAPI  Source = "api"
	SourceSync Source = "sync"
)

// JournalEntry is the intent row of one ref transaction.
type JournalEntry struct {
	ID        string // "jrn_" and a ULID
	RepoID    string
	Namespace Namespace
	Source    Source
	Actor     string // token subject, or [SystemSubject]
	Upstream  bool   // the upstream leg applies: recovery must ask the upstream
	State     JournalState
	Updates   []RefUpdate
	CreatedAt time.Time
	ClosedAt  time.Time
}
