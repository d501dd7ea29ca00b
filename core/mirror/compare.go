package mirror

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/schedule"
)

// comparison is what a listing says of the copy.
type comparison struct {
	same bool // the copy shows what was listed
	// inFlight are the refs that differ, where write sessions of our own have all
	// of them: the upstream shows what they have brought it already, and the copy
	// will when they end. There is nothing to fetch.
	inFlight []string
	// unsettled is set if refs differ of which nobody knows yet what became of their
	// last push; whoever finds out asks for a sync. There is nothing to fetch either.
	unsettled bool
}

// partly reports whether the copy is as it should be now, but not where the
// upstream is.
func (c comparison) partly() bool { return c.unsettled || len(c.inFlight) > 0 }

// compare compares a listing with what is here: by the digest of the last run,
// or, when pushes moved refs since or are about to, by looking.
func (s *Service) compare(ctx context.Context, r core.Repository, l *listing, state core.SyncState, watch *repo.Watch) (comparison, error) {
	if !slices.Equal(state.Skipped, l.skipped) {
		return comparison{}, nil
	}
	if state.Digest != "" && state.Digest == l.scope.digest(l.adv) {
		return comparison{same: true}, nil
	}
	sessions := watch.Sessions()
	if state.Digest != "" && !sessions || !state.Ready() || headWants(r, l.adv) != "" {
		return comparison{}, nil
	}
	held, err := heldRows(ctx, s.store, r.ID)
	if err != nil {
		return comparison{}, err
	}
	maps.DeleteFunc(held, func(_ string, row core.Rewrite) bool { return !l.scope.rules.Keeps(row) })
	refs, err := s.known(ctx, r.ID)
	if err != nil {
		return comparison{}, err
	}
	names := differing(refs, l.adv.Refs, held)
	if len(names) == 0 {
		// The digest knows nothing of what a session brought, and goes with the
		// journal entry of it, which comes after its refs.
		return comparison{same: state.Digest == "" || sessions}, nil
	}
	moving := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return s.repos.Unsettled(r.ID, name) })
	for _, name := range moving {
		if !watch.Moved(name) {
			return comparison{}, nil
		}
	}
	return comparison{inFlight: moving, unsettled: len(moving) < len(names)}, nil
}

// awaitPause is how soon a repository is looked at again whose refs sessions
// have, unless they end before: sessions may hang, and the server may stop.
const awaitPause = 30 * time.Second

// await has the repository looked at once more as soon as the write sessions have
// ended that have these refs now.
func (s *Service) await(repoID string, refs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx := s.lifetime
	if ctx == nil || ctx.Err() != nil || len(refs) == 0 {
		return // at the start everything is looked at that is due
	}
	_, waits := s.inUse[repoID]
	if !waits {
		s.inUse[repoID] = map[string]bool{}
	}
	for _, ref := range refs {
		s.inUse[repoID][ref] = true
	}
	if !waits {
		s.waits.Go(func() { s.awaitSessions(ctx, repoID) })
	}
}

// awaitSessions waits for one ref after the other, so that it never keeps a
// session waiting that wants several.
func (s *Service) awaitSessions(ctx context.Context, repoID string) {
	for {
		s.mu.Lock()
		ref, more := "", false
		for ref = range s.inUse[repoID] {
			more = true
			break
		}
		if !more || ctx.Err() != nil {
			delete(s.inUse, repoID)
			s.mu.Unlock()
			break
		}
		delete(s.inUse[repoID], ref)
		s.mu.Unlock()
		if unlock, err := s.repos.Locks().LockRef(ctx, repoID, ref, nil); err == nil {
			unlock()
		}
	}
	if ctx.Err() != nil {
		return
	}
	if err := s.lookSoon(ctx, repoID); err != nil && core.KindOf(err) != core.KindNotFound && ctx.Err() == nil {
		s.log.Warn("a repository is looked at later than it could be", "repo_id", repoID, "error", err)
	}
}

// lookSoon has what waits for a repository begin now, else has it looked at.
func (s *Service) lookSoon(ctx context.Context, repoID string) error {
	state, err := s.store.SyncState(ctx, repoID)
	if err != nil {
		return err
	}
	if state.Served < state.Wanted {
		_, err = s.schedule.Request(ctx, repoID, schedule.TriggerPush, "")
		return err
	}
	now := s.clock.Now()
	err = s.store.SetPoll(ctx, repoID, now)
	s.schedule.Notify(schedule.Look, now)
	return err
}
