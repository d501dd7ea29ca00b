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
	EventWatcher
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
	EventFeed
	WebhookStore
	InboundStore
	PollStore
	SettingsStore
	UpstreamStore
	RewriteStore
	AuditStore
	RetentionStore
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
	// RequestSync and TakeSync change, and UpstreamState and UpstreamSince, which
	// SetUpstreamState does.
	SaveSync(ctx context.Context, s SyncState) error
	// SetDigest is SaveSync for the digest alone; "" forgets it.
	SetDigest(ctx context.Context, repoID, digest string) error
	// SetNotice is SaveSync for Notice alone: the run that it is about goes on.
	SetNotice(ctx context.Context, repoID string, n SyncNotice) error
	// PostponeSync sets NextAttemptAt alone, if there is work waiting.
	PostponeSync(ctx context.Context, repoID string, at time.Time) error
	// DueSyncs lists repositories with Served < Wanted and NextAttemptAt zero
	// or not after now, oldest NextAttemptAt first, at most limit.
	DueSyncs(ctx context.Context, now time.Time, limit int) ([]DueSync, error)
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
	// UpdateCredential replaces username, host and secret of the one with c.ID.
	UpdateCredential(ctx context.Context, c Credential) error
	DeleteCredential(ctx context.Context, id string) error
	CredentialByID(ctx context.Context, id string) (Credential, error)
	CredentialByRepo(ctx context.Context, repoID string) (Credential, error)
	// ResealCredentials opens and seals every secret anew, those of webhooks
	// too, after a change of the sealing key; it returns how many there were.
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
	// EphemeralJournal lists entries of the ephemeral namespace with ids above
	// after, oldest first.
	EphemeralJournal(ctx context.Context, repoID, after string, limit int) ([]JournalEntry, error)
}

// EventStore is the outbox.
type EventStore interface {
	// AddEvents appends. An event whose journal id and ref are there already
	// is left out silently: it was told.
	AddEvents(ctx context.Context, events []Event) error
	// Events lists events with Seq above after, in order.
	Events(ctx context.Context, after int64, limit int) ([]Event, error)
}

// EventFilter selects events for a reader.
type EventFilter struct {
	Org    string
	RepoID string // "" is every repository of the organisation
	After  int64  // only a Seq above this one
	Limit  int    // must be positive
}

// EventFeed is how readers follow the outbox.
type EventFeed interface {
	// EventsOf lists events that match, in order.
	EventsOf(ctx context.Context, f EventFilter) ([]Event, error)
	// LastSeq returns the highest Seq given so far, 0 if there is none.
	LastSeq(ctx context.Context) (int64, error)
	// FirstSeq returns the lowest Seq that is still kept, or, with none left,
	// the next one to be given.
	FirstSeq(ctx context.Context) (int64, error)
	// DeleteEvents deletes events created before a time that the deliveries
	// have been made of, at most limit; it returns how many.
	DeleteEvents(ctx context.Context, before time.Time, limit int) (int, error)
}

// EventWatcher tells when there is something new in the outbox. It is part of
// the Store, not of a transaction.
type EventWatcher interface {
	// WatchEvents returns a channel of size one that receives after every
	// commit of this handle which added events, and a function that ends that.
	// What another process adds is not told.
	WatchEvents() (added <-chan struct{}, stop func())
}

// WebhookStore keeps outbound webhooks and their deliveries.
type WebhookStore interface {
	CreateWebhook(ctx context.Context, w Webhook) error
	// UpdateWebhook replaces all but id, organisation, times of attempts and
	// StartSeq. An empty Secret keeps the old one.
	UpdateWebhook(ctx context.Context, w Webhook) error
	// DeleteWebhook deletes it with its deliveries.
	DeleteWebhook(ctx context.Context, org, id string) error
	Webhook(ctx context.Context, org, id string) (Webhook, error)
	WebhookByID(ctx context.Context, id string) (Webhook, error)
	// Webhooks lists those of an organisation, newest first; "" lists all.
	Webhooks(ctx context.Context, org string) ([]Webhook, error)
	// NoteAttempt updates the fields that tell how a webhook is doing.
	NoteAttempt(ctx context.Context, id string, at time.Time, failure string) error

	// OutboxPosition returns the Seq up to which deliveries have been made of
	// events; SetOutboxPosition moves it, in the transaction that makes them.
	OutboxPosition(ctx context.Context) (int64, error)
	SetOutboxPosition(ctx context.Context, seq int64) error

	AddDeliveries(ctx context.Context, ds []Delivery) error
	Delivery(ctx context.Context, webhookID, id string) (Delivery, error)
	// Deliveries lists those of a webhook, newest first, ids below before.
	Deliveries(ctx context.Context, webhookID, before string, limit int) ([]Delivery, error)
	// DueDeliveries lists, of every webhook and repository, the oldest pending
	// delivery if its NextAttemptAt is not after now; oldest due first.
	// Deliveries of the webhooks in skip are left out.
	DueDeliveries(ctx context.Context, now time.Time, skip []string, limit int) ([]Delivery, error)
	// NextDeliveryAt returns the earliest NextAttemptAt after now of a
	// delivery that is first of its webhook and repository; zero: none.
	NextDeliveryAt(ctx context.Context, now time.Time) (time.Time, error)
	// SaveDelivery writes state, attempts, next attempt and last answer.
	SaveDelivery(ctx context.Context, d Delivery) error
	// CancelDeliveries ends the pending deliveries of a webhook.
	CancelDeliveries(ctx context.Context, webhookID string, at time.Time) error
	// DropDeliveries deletes the newest deliveries of a webhook of the
	// organisation, whatever their state, at most limit, and returns how many.
	DropDeliveries(ctx context.Context, org, webhookID string, limit int) (int, error)
	AddAttempt(ctx context.Context, a DeliveryAttempt) error
	Attempts(ctx context.Context, deliveryID string) ([]DeliveryAttempt, error) // in order
	// DeleteDeliveries deletes finished deliveries and their attempts from
	// before a time, at most limit; it returns how many.
	DeleteDeliveries(ctx context.Context, before time.Time, limit int) (int, error)
}

// InboundStore keeps what hosts tell us.
type InboundStore interface {
	// SaveInboundWebhook inserts or replaces the one of the repository.
	SaveInboundWebhook(ctx context.Context, w InboundWebhook) error
	InboundWebhook(ctx context.Context, repoID string) (InboundWebhook, error)
	InboundWebhookByToken(ctx context.Context, token string) (InboundWebhook, error)
	// DueInboundWebhooks lists repositories whose NextCheck is set and not
	// after now, at most limit.
	DueInboundWebhooks(ctx context.Context, now time.Time, limit int) ([]string, error)
	// NoteInbound records that a delivery came, or that one was missed. A
	// repository without inbound webhook gets none by this. If one was missed,
	// an active webhook is due to be checked then, unless it was a moment ago and
	// one was missed a moment ago, too.
	NoteInbound(ctx context.Context, repoID string, delivered, missed time.Time) error
	DeleteInboundWebhook(ctx context.Context, repoID string) error

	// AddInboundDelivery records a delivery; KindConflict: it came before.
	AddInboundDelivery(ctx context.Context, d InboundDelivery) error
	// LastInboundDelivery returns when the instance last got one; zero: never.
	LastInboundDelivery(ctx context.Context, instance string) (time.Time, error)
	DeleteInboundDeliveries(ctx context.Context, before time.Time, limit int) (int, error)

	// Expect inserts expectations, or replaces those of the same ref.
	Expect(ctx context.Context, es []Expectation) error
	Expectations(ctx context.Context, repoID string) ([]Expectation, error)
	// Unexpect deletes the expectation of a ref if it is still for that id.
	Unexpect(ctx context.Context, repoID, ref string, id ObjectID) error

	// RepositoriesOf finds the repositories of every organisation that follow
	// an upstream: by its stable id if id is not empty, else by its path at
	// the host (case-insensitive). An empty host is any host of the instance.
	RepositoriesOf(ctx context.Context, instance, host, id, path string) ([]Repository, error)
	// RepositoriesUnder finds those below an owner at the host.
	RepositoriesUnder(ctx context.Context, instance, host, owner string) ([]Repository, error)
}

// PollStore schedules looks at upstreams.
type PollStore interface {
	// DuePolls lists synced repositories with no work waiting whose PollAt is
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

// SettingsStore keeps what people chose per repository.
type SettingsStore interface {
	// Settings returns the zero value for a repository that has none.
	Settings(ctx context.Context, repoID string) (Settings, error)
	SaveSettings(ctx context.Context, repoID string, s Settings) error
	// ExpiringRepositories lists repositories whose ephemeral branches have a
	// time to live, ids above after, in order.
	ExpiringRepositories(ctx context.Context, after string, limit int) ([]string, error)
}

// UpstreamStore changes upstream links.
type UpstreamStore interface {
	// AttachUpstream links a local repository, with a fresh sync state.
	// KindConflict: it has an upstream.
	AttachUpstream(ctx context.Context, repoID string, up Upstream) error
	// MoveUpstream replaces the link of a synced repository and keeps its state.
	MoveUpstream(ctx context.Context, repoID string, up Upstream) error
	// SetUpstreamState sets state and since; it reports false if it was so already.
	SetUpstreamState(ctx context.Context, repoID string, s UpstreamState, since time.Time) (bool, error)
}

// RewriteStore keeps the ref journal.
type RewriteStore interface {
	// AddRewrite inserts; KindConflict: the id is there already.
	AddRewrite(ctx context.Context, r Rewrite) error
	Rewrite(ctx context.Context, repoID, id string) (Rewrite, error)
	Rewrites(ctx context.Context, f RewriteFilter) ([]Rewrite, error)
	// SaveRewrite writes state, journal id, new id, bytes, decision, expiry and Restored.
	SaveRewrite(ctx context.Context, r Rewrite) error
	// HeldRewrites lists the held and frozen ones of a repository, and the
	// dismissed ones whose ref still differs from the upstream: the newest of
	// each ref.
	HeldRewrites(ctx context.Context, repoID string) ([]Rewrite, error)
	// ExpiredRewrites lists retained ones that expired by now, of all
	// repositories, at most limit.
	ExpiredRewrites(ctx context.Context, now time.Time, limit int) ([]Rewrite, error)
}

// AuditStore keeps who did what. There is no way to change or delete an entry.
type AuditStore interface {
	AddAudit(ctx context.Context, e AuditEntry) error
	Audit(ctx context.Context, f AuditFilter) ([]AuditEntry, error)
}

// RetentionStore deletes what nobody needs any more. Each method deletes at
// most limit rows and returns how many it did.
type RetentionStore interface {
	// DeleteJournal deletes closed entries from before a time.
	DeleteJournal(ctx context.Context, before time.Time, limit int) (int, error)
	// DeleteRuns deletes finished runs from before a time, but keeps the last
	// keep of every repository.
	DeleteRuns(ctx context.Context, before time.Time, keep, limit int) (int, error)
}
