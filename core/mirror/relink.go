package mirror

import (
	"context"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/schedule"
)

// Attach links a local repository to an upstream. With content, reads go on
// during its first run, which follows the repository's policies and the brake
// like every other; without, that run is a first mirror. also runs in the same
// transaction. Ask for the run with [Service.RequestLinked]. Errors: KindConflict
// if it has an upstream.
func (s *Service) Attach(ctx context.Context, r core.Repository, up core.Upstream, also func(q core.Queries) error) error {
	refs, err := s.git.Refs(ctx, s.repos.Path(r.ID))
	if err != nil {
		return err
	}
	return s.store.Tx(ctx, func(q core.Queries) error {
		if err := q.AttachUpstream(ctx, r.ID, up); err != nil {
			return err
		}
		if len(refs) > 0 {
			state, err := q.SyncState(ctx, r.ID)
			if err != nil {
				return err
			}
			state.FirstSyncedAt = s.clock.Now()
			if err := q.SaveSync(ctx, state); err != nil {
				return err
			}
		}
		return also(q)
	})
}

// Repoint gives a synced repository another upstream. A run that is under way is
// ended first, and forgotten is what was known of the old upstream: its state,
// its digest, what it had announced. It is told like a move that was followed,
// which also ends whatever trouble with the old one was told.
// also runs in the same transaction. Ask for the run with
// [Service.RequestLinked]. Errors: KindInvalid if there is no upstream.
func (s *Service) Repoint(ctx context.Context, r core.Repository, to core.Upstream, also func(q core.Queries) error) error {
	s.forget(r.ID)
	resume, err := s.schedule.Halt(ctx, r.ID)
	if err != nil {
		return err
	}
	defer resume()
	return s.store.Tx(ctx, func(q core.Queries) error {
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
		if err := s.forgetUpstream(ctx, q, r.ID); err != nil {
			return err
		}
		e, err := movedEvent(r, to, s.clock.Now())
		if err != nil {
			return err
		}
		if err := q.AddEvents(ctx, []core.Event{e}); err != nil {
			return err
		}
		return also(q)
	})
}

// forgetUpstream empties what a sync state says of the upstream, but not what is waiting
// and what was told.
func (s *Service) forgetUpstream(ctx context.Context, q core.Queries, repoID string) error {
	state, err := q.SyncState(ctx, repoID)
	if err != nil {
		return err
	}
	if _, err := q.SetUpstreamState(ctx, repoID, core.UpstreamActive, s.clock.Now()); err != nil {
		return err
	}
	waiting, err := q.Expectations(ctx, repoID)
	if err != nil {
		return err
	}
	for _, e := range waiting {
		if err := q.Unexpect(ctx, repoID, e.Ref, e.New); err != nil {
			return err
		}
	}
	return q.SaveSync(ctx, core.SyncState{
		RepoID: repoID, Served: state.Served, Tried: state.Tried, Runs: state.Runs, FirstSyncedAt: state.FirstSyncedAt, ChangedAt: state.ChangedAt, Told: state.Told,
	})
}

// RequestLinked asks for the first run from an upstream that was just linked,
// which asks the host about it as well: who has that name, under which id.
func (s *Service) RequestLinked(ctx context.Context, repoID string) error {
	return s.requestDoubting(ctx, repoID, schedule.TriggerAPI)
}
