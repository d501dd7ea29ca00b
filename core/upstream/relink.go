package upstream

import (
	"context"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/schedule"
)

// Attach links a local repository to an upstream. With content, reads go on during its
// first run, which follows the repository's policies and the mass-deletion brake like
// every other; without, that run is a first mirror. also runs in the same transaction.
// Request the run with [Monitor.RequestLinked]. Errors: KindConflict if the repository
// has an upstream.
func (m *Monitor) Attach(ctx context.Context, r core.Repository, up core.Upstream, content bool, also func(q core.Queries) error) error {
	return m.store.Tx(ctx, func(q core.Queries) error {
		if err := q.AttachUpstream(ctx, r.ID, up); err != nil {
			return err
		}
		if content {
			if err := q.MarkSynced(ctx, r.ID, m.clock.Now()); err != nil {
				return err
			}
		}
		return also(q)
	})
}

// Repoint gives a synced repository another upstream. A run that is under way is ended
// first, and what was known of the old upstream is dropped: its state, its digest, what
// it had announced. The event is that of a move that was followed, which also ends an
// outage of the old upstream. also runs in the same transaction. Request the run with
// [Monitor.RequestLinked]. Errors: KindInvalid if there is no upstream.
func (m *Monitor) Repoint(ctx context.Context, r core.Repository, to core.Upstream, also func(q core.Queries) error) error {
	m.Forget(r.ID)
	resume, err := m.schedule.Halt(ctx, r.ID)
	if err != nil {
		return err
	}
	defer resume()
	return m.store.Tx(ctx, func(q core.Queries) error {
		r, err := q.RepositoryByID(ctx, r.ID)
		if err != nil {
			return err
		}
		if r.Upstream == nil {
			return core.Errorf(core.KindInvalid, "no upstream configured for this repository")
		}
		if err := q.MoveUpstream(ctx, r.ID, to); err != nil {
			return err
		}
		if err := m.reset(ctx, q, r.ID); err != nil {
			return err
		}
		e, err := movedEvent(r, to, m.clock.Now())
		if err != nil {
			return err
		}
		if err := q.AddEvents(ctx, []core.Event{e}); err != nil {
			return err
		}
		return also(q)
	})
}

// reset empties what a repository's row says of its upstream, but not what is
// waiting and the last notice.
func (m *Monitor) reset(ctx context.Context, q core.Queries, repoID string) error {
	waiting, err := q.Expectations(ctx, repoID)
	if err != nil {
		return err
	}
	for _, e := range waiting {
		if err := q.Unexpect(ctx, repoID, e.Ref, e.New); err != nil {
			return err
		}
	}
	return q.ResetUpstream(ctx, repoID, m.clock.Now())
}

// RequestLinked requests the first run from an upstream that was just linked, which
// also asks the host about it: which repository has that name, under which id.
func (m *Monitor) RequestLinked(ctx context.Context, repoID string) error {
	return m.requestWithCheck(ctx, repoID, schedule.TriggerAPI)
}
