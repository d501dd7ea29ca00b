package core

import (
	"context"
	"time"
)

// Store keeps everything that is not a git object or a ref. The package store
// implements it; storetest.Run is its definition. Methods called on the Store
// itself run each in a transaction of their own.
//
// Every method returns an [*Error]: KindNotFound when the row it names is
// missing, KindConflict when a unique value exists already, KindInternal for
// anything the database says.
type Store interface {
	Queries
	// Tx runs f in one write transaction and commits it if f returns nil.
	// Inside f only the given Queries may be used: the writer is a single
	// connection, so a call on the Store itself would wait for ever. No
	// network or git call belongs inside.
	Tx(ctx context.Context, f func(q Queries) error) error
	Close() error
}

// Queries is the union of what each noun needs.
type Queries interface {
	OrgStore
	RepositoryStore
	SyncStore
	CredentialStore
	JournalStore
	EventStore
}

// OrgStore keeps organisations and their public keys.
type OrgStore interface {
	CreateOrg(ctx context.Context, o Org) error
	Org(ctx context.Context, name string) (Org, error)
	Orgs(ctx context.Context) ([]Org, error) // by name

	AddKey(ctx context.Context, k Key) error
	Keys(ctx context.Context, org string) ([]Key, error) // oldest first, disabled ones too
	DisableKey(ctx context.Context, org, id string, at time.Time) error
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
	// DeleteRepository removes the repository and everything that hangs on it
	// but its events.
	DeleteRepository(ctx context.Context, id string) error
	// DetachUpstream removes upstream link, sync state and credential. It is
	// idempotent: no link is no error.
	DetachUpstream(ctx context.Context, id string) error
	// SetUpstreamID records what the host told of the linked repository.
	SetUpstreamID(ctx context.Context, id, upstreamID string) error
}

// SyncStore keeps sync states and runs.
type SyncStore interface {
	SyncState(ctx context.Context, repoID string) (SyncState, error)
	// RequestSync raises Wanted and returns it. A request for another ref than
	// a waiting one widens that to all refs. It clears NextAttemptAt: a person
	// or webhook that asks is served at once, whatever the back-off.
	RequestSync(ctx context.Context, repoID, trigger, ref string) (int64, error)
	// TakeSync starts serving: it returns the state as of now, and clears
	// WantedRef so that later requests start afresh.
	TakeSync(ctx context.Context, repoID string) (SyncState, error)
	// SaveSync writes all of s but Wanted, WantedRef and Trigger, which only
	// RequestSync and TakeSync change.
	SaveSync(ctx context.Context, s SyncState) error
	// SetDigest is SaveSync for the digest alone; "" forgets it.
	SetDigest(ctx context.Context, repoID, digest string) error
	// DueSyncs lists repositories with Served < Wanted and NextAttemptAt zero
	// or not after now, oldest NextAttemptAt first, at most limit.
	DueSyncs(ctx context.Context, now time.Time, limit int) ([]string, error)
	// NextSyncAt returns the earliest NextAttemptAt after now of a repository
	// with Served < Wanted, and the zero time if there is none.
	NextSyncAt(ctx context.Context, now time.Time) (time.Time, error)

	StartRun(ctx context.Context, r Run) error
	FinishRun(ctx context.Context, r Run) error
	// Runs lists runs newest first, with ids below before ("" for the newest).
	Runs(ctx context.Context, repoID, before string, limit int) ([]Run, error)
	// InterruptRuns marks unfinished runs as interrupted; called once at start.
	InterruptRuns(ctx context.Context, at time.Time) (int, error)
}

// CredentialStore keeps upstream credentials, sealed.
type CredentialStore interface {
	// CreateCredential: KindConflict if the repository has one already.
	CreateCredential(ctx context.Context, c Credential) error
	// UpdateCredential replaces username and secret of the one with c.ID.
	UpdateCredential(ctx context.Context, c Credential) error
	DeleteCredential(ctx context.Context, id string) error
	CredentialByID(ctx context.Context, id string) (Credential, error)
	CredentialByRepo(ctx context.Context, repoID string) (Credential, error)
	// ResealCredentials opens and seals every secret anew, after a change of
	// the sealing key; it returns how many there were.
	ResealCredentials(ctx context.Context) (int, error)
}

// JournalStore keeps intents.
type JournalStore interface {
	OpenJournal(ctx context.Context, e JournalEntry) error
	// CloseJournal sets the state, the closing time, and the updates that
	// really happened.
	CloseJournal(ctx context.Context, id string, state JournalState, updates []RefUpdate, at time.Time) error
	// OpenJournals lists entries in state sent or lagging, oldest first.
	OpenJournals(ctx context.Context) ([]JournalEntry, error)
	Journal(ctx context.Context, repoID string, limit int) ([]JournalEntry, error) // newest first
}

// EventStore is the outbox.
type EventStore interface {
	// AddEvents appends. An event whose journal id and ref are there already
	// is left out silently: it was told.
	AddEvents(ctx context.Context, events []Event) error
	// Events lists events with Seq above after, in order.
	Events(ctx context.Context, after int64, limit int) ([]Event, error)
}
