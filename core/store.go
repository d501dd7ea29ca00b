package core

import "context"

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
	TrashStore
	AliasStore
	SyncStore
	CredentialStore
	SharedCredentialStore
	MirrorSetStore
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
	LFSStore
	LFSMirrorStore
	OverviewStore
	ConsoleStore
	LimitStore
	SwitchStore
	IdempotencyStore
}
