package core

import (
	"context"
	"time"
)

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
