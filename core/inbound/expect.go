package inbound

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/repo"
)

// An inbound webhook is a hint: "look at this repository, expect this id on
// this ref". It always causes one look, also when the id is here already, as it
// is when the host echoes our own push. That look is one listing in process and
// leaves neither row nor event, and it is worth that: hosts leave refs out of
// their webhooks (GitHub all tags of a push with more than three), so what moved
// beside the announced ref is found at once instead of by the next poll.
//
// An expectation stays until a listing shows its id, shows that the ref has gone
// on, or it expires: hosts announce refs before they serve them.

// Schedule is what an [Announcer] needs of core/schedule.
type Schedule interface {
	// RequestFolded asks for a look in the caller's transaction, in which the state
	// was read; NotifyAll makes it happen once that is committed.
	RequestFolded(ctx context.Context, q core.Queries, state core.SyncState) error
	NotifyAll()
}

// Sessions knows the write sessions of this server.
type Sessions interface {
	// AwaitSessions reports whether write sessions hold all of these refs now, and
	// has the repository looked at as soon as they have ended. Until then the look
	// at the time that it returns is the next one.
	AwaitSessions(repoID string, refs []string) (until time.Time, held bool)
}

// Announcer turns what hosts announce into looks at repositories and into what
// these are expected to find. It is safe for concurrent use.
type Announcer struct {
	store    core.Transactor
	schedule Schedule
	sessions Sessions
}

// NewAnnouncer returns an Announcer.
func NewAnnouncer(store core.Transactor, schedule Schedule, sessions Sessions) *Announcer {
	return &Announcer{store: store, schedule: schedule, sessions: sessions}
}

// Announce takes what an inbound webhook said: look at the repository, and expect
// these ids on these refs. Without expectations it is a look alone. Errors:
// KindNotFound if the repository is not synced.
func (a *Announcer) Announce(ctx context.Context, repoID string, expect []core.Expectation) error {
	err := a.store.Tx(ctx, func(q core.Queries) error { return a.AnnounceIn(ctx, q, repoID, expect) })
	if err == nil {
		a.NotifyAll()
	}
	return err
}

// AnnounceIn is [Announcer.Announce] in the transaction that records the webhook,
// so that neither is stored without the other. Call NotifyAll once it is committed.
func (a *Announcer) AnnounceIn(ctx context.Context, q core.Queries, repoID string, expect []core.Expectation) error {
	state, err := q.SyncState(ctx, repoID)
	if err != nil {
		return err
	}
	wanted, err := mirrored(ctx, q, repoID, expect)
	if err != nil {
		return err
	}
	if len(expect) > 0 && len(wanted) == 0 {
		return nil // all of it is left out here
	}
	if err := q.Expect(ctx, wanted); err != nil {
		return err
	}
	if len(wanted) > 0 && state.Ready() {
		refs := make([]string, len(wanted))
		for i, e := range wanted {
			refs[i] = e.Ref
		}
		// Likely the echo of a push that is on its way through. Looked at now, the
		// copy would differ, for want of a moment.
		if until, held := a.sessions.AwaitSessions(repoID, refs); held {
			if !state.PollAt.IsZero() && state.PollAt.Before(until) {
				until = state.PollAt
			}
			return q.SetPoll(ctx, repoID, until)
		}
	}
	return a.schedule.RequestFolded(ctx, q, state)
}

// NotifyAll has the schedule look at what is due now.
func (a *Announcer) NotifyAll() { a.schedule.NotifyAll() }

// mirrored returns the expectations of refs that the repository mirrors.
func mirrored(ctx context.Context, q core.Queries, repoID string, expect []core.Expectation) ([]core.Expectation, error) {
	if len(expect) == 0 {
		return nil, nil
	}
	r, err := q.RepositoryByID(ctx, repoID)
	if err != nil {
		return nil, err
	}
	settings, err := q.Settings(ctx, repoID)
	if err != nil {
		return nil, err
	}
	rules, err := repo.NewRules(r, settings)
	if err != nil {
		return nil, err
	}
	var out []core.Expectation
	for _, e := range expect {
		if rules.Owns(e.Ref) && rules.Mirrors(e.Ref) {
			out = append(out, e)
		}
	}
	return out, nil
}

// Met returns the expectations that a listing has settled. before is where the
// expected refs were here when it was asked for, and ancestor tells whether the
// one commit is in the history of the other.
func Met(open []core.Expectation, listed, before map[string]core.ObjectID, now time.Time, ancestor func(a, b core.ObjectID) bool) []core.Expectation {
	var out []core.Expectation
	for _, e := range open {
		at := listed[e.Ref]
		switch {
		case at.Same(e.New): // seen
		case !e.ExpiresAt.After(now):
		case !at.Same(e.Old) && !at.Same(before[e.Ref]):
			// The host serves something newer than both what was announced to be
			// replaced and what we knew: it has gone on.
		case !e.New.IsZero() && !at.IsZero() && !at.Same(e.Old) && ancestor(e.New, at):
			// A webhook that came late.
		default:
			continue
		}
		out = append(out, e)
	}
	return out
}
