package core

import (
	"context"
	"time"
)

// ConsoleLink is a link that signs the machine's owner in to the console, once.
type ConsoleLink struct {
	Hash      string // of its secret, hexadecimal SHA-256: who reads the database cannot use it
	Subject   string // whom it signs in, as the audit names them
	ExpiresAt time.Time
}

// ConsoleRole is what a session of the console may do.
type ConsoleRole string

// The roles of the console.
const (
	// ConsoleOwner sees every organisation and does everything: the machine's owner.
	ConsoleOwner ConsoleRole = "owner"
	// ConsoleOperator sees one organisation, and changes what its token may.
	ConsoleOperator ConsoleRole = "operator"
	// ConsoleViewer sees one organisation.
	ConsoleViewer ConsoleRole = "viewer"
)

// ConsoleSession is somebody who is signed in to the console.
type ConsoleSession struct {
	ID      string // "ses_" and a ULID
	Hash    string // of the cookie's secret, hexadecimal SHA-256
	Role    ConsoleRole
	Org     string // "" for the owner
	Subject string
	// Identity is that of the token which signed in; see access.Identity. Empty for the owner.
	Identity  []byte
	CreatedAt time.Time
	ExpiresAt time.Time
}

// ConsoleMinute is how the mirrors of an organisation were in one minute.
type ConsoleMinute struct {
	Org string // "" is all of them together
	At  time.Time
	// Repositories by their state in one word, see [RepositoryHealth.State].
	Fresh, Syncing, Failing, Held, Waiting int
	// The lag of mirrors that were ever confirmed: half of them have at most the first.
	LagMedian, LagMost, LagMax time.Duration // LagMost: nineteen of twenty
	PushesOK, PushesFailed     int
	PushTime, PushSlowest      time.Duration // in sum, and of the slowest
	// Syncs by outcome.
	Succeeded, Unchanged, SyncsFailed, SyncsHeld int
}

// ConsoleLag is the longest lag of one mirror in a quarter of an hour.
type ConsoleLag struct {
	RepoID string
	At     time.Time // its beginning
	Lag    time.Duration
}

// RepositoryHealth is a repository in a list of all, synced or not.
type RepositoryHealth struct {
	MirrorHealth
	Synced        bool
	Owner, Path   string // of the upstream: owner and name there
	CreatedAt     time.Time
	DiskBytes     int64 // of its folder, as it was last measured; 0: not yet
	Running       bool
	Requested     bool        // a sync was ever asked for
	Braked        bool        // held back because most refs vanished at once
	HeldRefs      int         // that wait for a decision
	KeptRefs      int         // that are not followed because of one, or of a policy that freezes them
	Unconfirmed   bool        // the upstream did not answer for a push
	Damage        DamageState // "": none
	LastError     string      // of the last run, if it failed
	WebhookError  string      // why the webhook from its host is not registered; "": it is, or nobody registers it
	ChangedAt     time.Time   // the upstream was last seen to have changed
	NextAttemptAt time.Time
}

// State returns the state in one word, the most pressing one: the word that the API has
// for the state of the sync, or "local".
func (h RepositoryHealth) State() RepositoryState {
	switch {
	case !h.Synced:
		return RepositoryLocal
	case h.Damage == DamageWaiting:
		return RepositoryWaiting
	case h.Damage != "":
		return RepositoryRebuilding
	case h.Running:
		return RepositorySyncing
	case h.Paused:
		return RepositoryPaused
	case h.Braked, h.LastError != "" && h.Class == ClassDiverged:
		return RepositoryHeld
	case h.LastError != "":
		return RepositoryFailing
	case h.Unconfirmed:
		return RepositoryUnconfirmed
	case h.Ready:
		return RepositoryReady
	}
	return RepositoryPending
}

// RepositoryNeed is what a repository needs that the server cannot do by itself.
type RepositoryNeed string

// The needs, the most pressing first.
const (
	NeedNothing    RepositoryNeed = ""
	NeedOperator   RepositoryNeed = "operator"   // this machine lacks something, or content is damaged
	NeedCredential RepositoryNeed = "credential" // one that the host takes
	NeedUpstream   RepositoryNeed = "upstream"   // what was followed is not there any more
	NeedDecision   RepositoryNeed = "decision"   // about what the upstream rewrote, deleted or lost
	NeedWebhook    RepositoryNeed = "webhook"    // that the host takes: until then its changes are found by polling alone
)

// RepositoryNeeds returns all of them but NeedNothing.
func RepositoryNeeds() []RepositoryNeed {
	return []RepositoryNeed{NeedOperator, NeedCredential, NeedUpstream, NeedDecision, NeedWebhook}
}

// Need returns what the repository waits for. One that a person has paused needs nothing.
func (h RepositoryHealth) Need() RepositoryNeed {
	failing := h.LastError != ""
	switch {
	case h.Damage == DamageWaiting, !h.Synced && h.Damage != "":
		return NeedOperator
	case !h.Synced, h.Paused:
		return NeedNothing
	case failing && (h.Class == ClassResource || h.Class == ClassTooLarge || h.Class == ClassInternal):
		return NeedOperator
	case h.Upstream == UpstreamPrivate, h.Upstream == UpstreamRevoked, h.Upstream == UpstreamSuspended,
		failing && (h.Class == ClassAuth || h.Class == ClassRevoked), !failing && !h.Ready && !h.Requested:
		return NeedCredential
	case h.Upstream == UpstreamDeleted, h.Upstream == UpstreamReplaced, failing && (h.Class == ClassNotFound || h.Class == ClassMoved):
		return NeedUpstream
	case h.Braked, h.HeldRefs > 0, failing && h.Class == ClassDiverged:
		return NeedDecision
	case h.WebhookError != "" && !failing: // a host that is away takes none, either
		return NeedWebhook
	}
	return NeedNothing
}

// ConsoleStore keeps who is signed in to the console, and what its pictures show.
type ConsoleStore interface {
	AddConsoleLink(ctx context.Context, l ConsoleLink) error
	// ConsoleLink returns a link that has not expired. KindNotFound: none, or it was used.
	ConsoleLink(ctx context.Context, hash string, now time.Time) (ConsoleLink, error)
	// TakeConsoleLink is ConsoleLink, and the link is gone: of two who take it, one gets it.
	TakeConsoleLink(ctx context.Context, hash string, now time.Time) (ConsoleLink, error)

	AddConsoleSession(ctx context.Context, s ConsoleSession) error
	// ConsoleSession returns a session that has not expired. KindNotFound: there is none.
	ConsoleSession(ctx context.Context, hash string, now time.Time) (ConsoleSession, error)
	// DeleteConsoleSession ends a session; one that is not there is no error.
	DeleteConsoleSession(ctx context.Context, id string) error
	// ConsoleSessions lists those that have not expired, newest first; of one
	// organisation, or of all with "".
	ConsoleSessions(ctx context.Context, org string, now time.Time) ([]ConsoleSession, error)

	// AddConsoleMinutes adds minutes and lags; what is there already is replaced.
	AddConsoleMinutes(ctx context.Context, minutes []ConsoleMinute, lags []ConsoleLag) error
	// ConsoleMinutes lists the minutes of an organisation ("" for all of them
	// together) from a time on, oldest first.
	ConsoleMinutes(ctx context.Context, org string, from time.Time) ([]ConsoleMinute, error)
	// ConsoleLags lists the lags of a repository from a time on, oldest first.
	ConsoleLags(ctx context.Context, repoID string, from time.Time) ([]ConsoleLag, error)
	// DeleteConsoleRows deletes minutes and lags from before a time, and sessions and
	// links that have expired by now.
	DeleteConsoleRows(ctx context.Context, before, now time.Time) error

	// Health calls f for every repository of an organisation, or of all with "", in the
	// order of their names. It reads as it goes: f must not use the store.
	Health(ctx context.Context, org string, f func(RepositoryHealth) error) error
}
