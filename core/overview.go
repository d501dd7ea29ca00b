package core

import (
	"context"
	"time"
)

// MirrorHealth is how one synced repository is, for a picture of all of them.
type MirrorHealth struct {
	RepoID, Org, Name        string
	Provider, Instance, Host string
	Upstream                 UpstreamState
	Paused                   bool       // the upstream is left alone
	Ready                    bool       // a first sync has succeeded
	Failures                 int        // consecutive
	Class                    ErrorClass // of the last failure; "" after a success
	ObservedAt               time.Time  // the upstream last confirmed the copy; zero: never
}

// State returns the state in one word: "paused", else what became of the upstream, else
// the word that the API has for the state of the sync, as far as this tells.
func (m MirrorHealth) State() string {
	switch {
	case m.Paused:
		return string(RepositoryPaused)
	case m.Upstream != UpstreamActive:
		return string(m.Upstream)
	case m.Failures > 0 && m.Class == ClassDiverged:
		return string(RepositoryHeld)
	case m.Failures > 0:
		return string(RepositoryFailing)
	case !m.Ready:
		return string(RepositoryPending)
	}
	return string(RepositoryReady)
}

// Totals are how much there is of what is not counted by what happens.
type Totals struct {
	Organisations int
	Local         int // repositories without an upstream
	// Undispatched are the events that no delivery was made of yet.
	Undispatched int64
	// Deliveries are those of outbound webhooks that wait for an attempt.
	Deliveries int
	// Unfinished are write sessions and syncs whose outcome is not settled, and
	// OldestUnfinished is when the oldest of them began; zero: there is none.
	Unfinished       int
	OldestUnfinished time.Time
	FailingWebhooks  int // outbound, of active ones
	Webhooks         int // outbound and active
	// Inbound are the registrations at hosts, by state.
	Inbound map[InboundState]int
	// Held are refs that wait for a decision about a rewrite of the upstream.
	Held int
	// Credentials are the shared ones, and FailingCredentials those that their host refused
	// when it was last asked about them.
	Credentials, FailingCredentials int
	// FirstExpiry is when the first of the shared credentials expires, as the hosts say,
	// which may be in the past; zero: no host says.
	FirstExpiry time.Time
}

// OverviewStore reads all repositories at once, of every organisation: for the
// operator, and never for an answer to a token.
type OverviewStore interface {
	// Mirrors calls f for every synced repository, in the order of their ids. It reads
	// as it goes: f must not use the store.
	Mirrors(ctx context.Context, f func(MirrorHealth) error) error
	Totals(ctx context.Context) (Totals, error)
}
