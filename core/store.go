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
//
// The interface of each noun is in the file of the noun. Only what wires the
// parts together takes the whole Store; each part takes the nouns it uses, and
// [Transactor] if it writes several at once.
type Store interface {
	Queries
	EventWatcher
	Transactor
	Close() error
}

// Transactor runs several queries in one transaction.
type Transactor interface {
	// Tx runs f in one write transaction and commits it if f returns nil.
	// Inside f only the given Queries may be used: the writer is a single
	// connection, so a call on the Store itself would wait for ever. No
	// network or git call belongs inside.
	Tx(ctx context.Context, f func(q Queries) error) error
}

// Queries is the union of what each noun needs.
type Queries interface {
	OrgStore
	TokenStore
	RepositoryStore
	SyncStore
	CredentialStore
	JournalStore
	EventStore
	EventFeed
	WebhookStore
	InboundStore
	PollStore
	SettingsStore
	UpstreamStore
	RewriteStore
	ForgottenStore
	AuditStore
	RetentionStore
	DamageStore
	OverviewStore
	LimitStore
	SwitchStore
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
	// FinishSync ends the run that TakeSync began, and writes what it found out. It
	// leaves out what others write: Wanted, WantedRef and Trigger (RequestSync and
	// TakeSync), PollAt (SetPoll and Observed), Notice (SetNotice), and UpstreamState
	// and UpstreamSince (SetUpstreamState).
	FinishSync(ctx context.Context, s SyncState) error
	// SetDigest sets Digest; "" forgets it. A write session does: the copy is no longer
	// what was listed.
	SetDigest(ctx context.Context, repoID, digest string) error
	// SetNotice sets Notice, whether the run that it is about has ended or not.
	SetNotice(ctx context.Context, repoID string, n SyncNotice) error
	// PostponeSync sets NextAttemptAt alone, if there is work waiting.
	PostponeSync(ctx context.Context, repoID string, at time.Time) error
	// DueSyncs lists repositories that are not paused, with Served < Wanted and NextAttemptAt zero
	// or not after now, oldest NextAttemptAt first, at most limit.
	DueSyncs(ctx context.Context, now time.Time, limit int) ([]DueSync, error)
	// NextSyncAt returns the earliest NextAttemptAt after now of a repository that is not paused
	// with Served < Wanted, and the zero time if there is none.
	NextSyncAt(ctx context.Context, now time.Time) (time.Time, error)

	StartRun(ctx context.Context, r Run) error
	FinishRun(ctx context.Context, r Run) error
	// Runs lists runs newest first, with ids below before ("" for the newest).
	Runs(ctx context.Context, repoID, before string, limit int) ([]Run, error)
	// InterruptRuns marks unfinished runs as interrupted; called once at start.
	InterruptRuns(ctx context.Context, at time.Time) (int, error)
}

// PollStore schedules looks at upstreams.
type PollStore interface {
	// DuePolls lists synced repositories that are not paused, with no work waiting, whose PollAt is
	// set and not after now, oldest first, at most limit.
	DuePolls(ctx context.Context, now time.Time, limit int) ([]DueSync, error)
	// NextPollAt returns the earliest PollAt after now; zero: none.
	NextPollAt(ctx context.Context, now time.Time) (time.Time, error)
	// SetPoll sets PollAt alone; zero ends polling.
	SetPoll(ctx context.Context, repoID string, at time.Time) error
	// Observed records a look that found the upstream equal to the copy.
	Observed(ctx context.Context, repoID string, observedAt, pollAt time.Time) error
	// UnpolledRepositories lists synced repositories with a zero PollAt, ids
	// above after, in order: for a start with another default.
	UnpolledRepositories(ctx context.Context, after string, limit int) ([]string, error)
}
