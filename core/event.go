package core

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Types of events. The first four are the wire contract's; receivers ignore
// types that they do not know, so more may come.
const (
	EventPush                 = "push"
	EventSyncStarted          = "repo.sync.started"
	EventSyncSucceeded        = "repo.sync.succeeded"
	EventSyncFailed           = "repo.sync.failed"
	EventDefaultBranchChanged = "repo.default_branch_changed"
	EventUpstreamMoved        = "repo.upstream_moved"
	EventUpstreamUnavailable  = "repo.upstream_unavailable"
	EventUpstreamRecovered    = "repo.upstream_recovered"
	EventRefRewritten         = "ref.rewritten"
	EventRefHeld              = "ref.held"
	EventRepositoryDeleted    = "repo.deleted"
	EventRepositoryUndeleted  = "repo.undeleted"
	EventRepositoryRenamed    = "repo.renamed"
	EventLFSMirrored          = "repo.lfs.mirrored" // nothing is to be fetched any more
	EventLFSMissing           = "repo.lfs.missing"  // the host says that it does not have objects
	EventLFSFailed            = "repo.lfs.failed"   // an object has failed to come several times
)

// EventTypes returns every type of event that a webhook can subscribe to.
func EventTypes() []string {
	return []string{
		EventPush, EventSyncStarted, EventSyncSucceeded, EventSyncFailed, EventDefaultBranchChanged,
		EventUpstreamMoved, EventUpstreamUnavailable, EventUpstreamRecovered, EventRefRewritten, EventRefHeld,
		EventRepositoryDamaged, EventRepositoryRebuilt, EventForgottenReturned,
		EventRepositoryDeleted, EventRepositoryUndeleted, EventRepositoryRenamed,
		EventLFSMirrored, EventLFSMissing, EventLFSFailed,
	}
}

// Event is a fact in the outbox, written in the transaction that made it true.
type Event struct {
	Seq       int64  // position in the outbox, given by the store
	ID        string // "evt_" and a ULID
	RepoID    string
	Org       string
	Type      string // one of [EventTypes]
	JournalID string // with Ref: unique, so recovery cannot tell a change twice
	Ref       string
	Payload   []byte // JSON, the body of the webhook as it is sent
	CreatedAt time.Time
	Trace     string // header traceparent of what it came from; "" if that was not traced
}

// EventRepository names a repository in an event: its id, and its public name,
// under its older key too.
type EventRepository struct {
	ID       string `json:"id"`
	URL      string `json:"url"`
	RepoName string `json:"repo_name,omitempty"` // absent in events of older versions
}

// EventRepositoryOf names a repository.
func EventRepositoryOf(r Repository) EventRepository {
	return EventRepository{ID: r.ID, URL: r.Name, RepoName: r.Name}
}

// RepositoryEvent makes an event about a repository. Its body has "type",
// "org", "repository" and the fields of body, which must marshal to a JSON object.
func RepositoryEvent(r Repository, typ string, body any, at time.Time) (Event, error) {
	fields := map[string]any{}
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return Event{}, fmt.Errorf("event %s: %w", typ, err)
		}
		if err := json.Unmarshal(raw, &fields); err != nil {
			return Event{}, fmt.Errorf("event %s: %w", typ, err)
		}
	}
	fields["type"] = typ
	fields["org"] = r.Org
	fields["repository"] = EventRepositoryOf(r)
	payload, err := json.Marshal(fields)
	if err != nil {
		return Event{}, fmt.Errorf("event %s: %w", typ, err)
	}
	return Event{ID: NewID("evt", at), RepoID: r.ID, Org: r.Org, Type: typ, Payload: payload, CreatedAt: at}, nil
}

// EventStore is the outbox.
type EventStore interface {
	// AddEvents appends. An event whose journal id and ref are there already
	// is left out silently: it is recorded already.
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
	// FirstSeq returns the lowest Seq from which on none is missing: the lowest that
	// is still kept, or, with none left, the next one to be given. After a restore
	// it is not below the first one given since, though earlier ones are kept: what
	// was given between the backup and the loss is lost.
	FirstSeq(ctx context.Context) (int64, error)
	// DeleteEvents deletes events created before a time that the deliveries
	// have been made of, at most limit; it returns how many.
	DeleteEvents(ctx context.Context, before time.Time, limit int) (int, error)
}

// EventWatcher tells when there is something new in the outbox. It is part of
// the Store, not of a transaction.
type EventWatcher interface {
	// WatchEvents returns a channel of size one that receives after every
	// commit of this handle which added events, and a function that stops it.
	// What another process adds is not signalled.
	WatchEvents() (added <-chan struct{}, stop func())
}
