package core

import (
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
)

// EventTypes returns every type of event that a webhook can subscribe to.
func EventTypes() []string {
	return []string{
		EventPush, EventSyncStarted, EventSyncSucceeded, EventSyncFailed, EventDefaultBranchChanged,
		EventUpstreamMoved, EventUpstreamUnavailable, EventUpstreamRecovered, EventRefRewritten, EventRefHeld,
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
