package push

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/repo"
)

// askTimeout bounds how long recovery asks one upstream.
const askTimeout = 20 * time.Second

// Recover settles the journal entries that a crash left open. The upstream is
// the source of truth, the journal says what to ask: what the upstream has is
// applied here (the objects are in the local store already) and told as an
// event, once; the rest is dropped, and a sync is asked for where the upstream
// could not be. One entry that cannot be settled does not keep the others
// waiting; it is left for the next call, and its error is returned.
func (s *Service) Recover(ctx context.Context) error {
	if err := s.Survey(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	entries := s.interrupted
	s.mu.Unlock()
	var left []core.JournalEntry
	var errs []error
	for _, j := range entries {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := s.recoverEntry(ctx, j); err != nil {
			left = append(left, j)
			errs = append(errs, fmt.Errorf("settle journal entry %s: %w", j.ID, err))
		}
	}
	s.mu.Lock()
	s.interrupted = left
	s.mu.Unlock()
	s.release(left)
	return errors.Join(errs...)
}

// release gives back the refs of repositories of which no entry is left.
func (s *Service) release(left []core.JournalEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, unlock := range s.reserved {
		if !slices.ContainsFunc(left, func(j core.JournalEntry) bool { return j.RepoID == id }) {
			unlock()
			delete(s.reserved, id)
		}
	}
}

// Survey notes the journal entries that are open now, for Recover, and locks
// their refs until they are settled: a sync or a session that came first would
// find the change in place or make it, and the change would be told twice. Call
// it after [repo.Repos.Recover] and before anything is served: an entry that is
// opened later belongs to a session that lives and settles it itself.
func (s *Service) Survey(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.surveyed {
		return nil
	}
	entries, err := s.store.OpenJournals(ctx)
	if err != nil {
		return err
	}
	refs := map[string][]string{}
	for _, j := range entries {
		for _, u := range j.Updates {
			refs[j.RepoID] = append(refs[j.RepoID], j.Namespace.Path(u.Name))
		}
	}
	for id, names := range refs {
		unlock, err := s.repos.Locks().LockRefs(ctx, id, names, nil)
		if err != nil {
			return err
		}
		s.reserved[id] = unlock
	}
	s.interrupted, s.surveyed = entries, true
	return nil
}

// recoverEntry settles one entry, whose refs Survey has locked.
func (s *Service) recoverEntry(ctx context.Context, j core.JournalEntry) error {
	r, err := s.store.RepositoryByID(ctx, j.RepoID)
	if core.KindOf(err) == core.KindNotFound {
		return s.store.CloseJournal(ctx, j.ID, core.JournalDropped, nil, s.clock.Now())
	}
	if err != nil {
		return err
	}
	names := make([]string, len(j.Updates))
	for i, u := range j.Updates {
		names[i] = j.Namespace.Path(u.Name)
	}
	if j.State == core.JournalLagging {
		// The refs had not moved here when it was closed: a sync brings them,
		// or has brought them, and tells of them.
		s.wantSync(ctx, r.ID)
		return s.store.CloseJournal(ctx, j.ID, core.JournalDropped, nil, s.clock.Now())
	}
	// Before anything else: where a ref has moved on since, the entry is dropped.
	if err := s.repos.Witness(ctx, r, j); err != nil {
		return err
	}
	keep, err := s.happened(ctx, r, j, names)
	if err != nil {
		return err
	}
	s.log.Info("recovering a journal entry", "repo_id", r.ID, "journal_id", j.ID, "source", j.Source, "updates", len(j.Updates), "happened", len(keep))
	if r.Upstream != nil && len(keep) < len(j.Updates) {
		s.wantSync(ctx, r.ID)
	}
	if len(keep) == 0 {
		return s.drop(ctx, r, j)
	}
	entry := s.recovered(r, j, keep)
	j.Updates = keep
	err = s.repos.ApplyRefUpdates(ctx, repo.Apply{Repo: r, Journal: j, Reconcile: true, Also: func(q core.Queries) error {
		if unasked(j) {
			return nil
		}
		return q.AddAudit(ctx, entry)
	}})
	if _, ok := repo.IsRefError(err); ok {
		// The ref has moved on since: only a sync can tell where to.
		s.log.Warn("an interrupted write cannot be applied any more", "repo_id", r.ID, "journal_id", j.ID, "error", err)
		if r.Upstream != nil {
			s.wantSync(ctx, r.ID)
		}
		return s.drop(ctx, r, j)
	}
	return err
}

// drop closes an entry of which nothing became true here.
func (s *Service) drop(ctx context.Context, r core.Repository, j core.JournalEntry) error {
	if unasked(j) {
		return s.store.CloseJournal(ctx, j.ID, core.JournalDropped, nil, s.clock.Now())
	}
	return s.closeJournal(ctx, j.ID, core.JournalDropped, nil, s.recovered(r, j, nil))
}

// happened returns the updates of the entry that became true: in place here, or
// taken by the upstream.
func (s *Service) happened(ctx context.Context, r core.Repository, j core.JournalEntry, names []string) ([]core.RefUpdate, error) {
	here, err := s.git.RefsNamed(ctx, s.repos.Path(r.ID), names)
	if err != nil {
		return nil, err
	}
	there := map[string]core.ObjectID(nil)
	if j.Upstream && r.Upstream != nil {
		var ask []string
		for _, u := range j.Updates {
			if core.UpstreamOwned(j.Namespace, u.Name) {
				ask = append(ask, u.Name)
			}
		}
		askCtx, cancel := context.WithTimeout(ctx, askTimeout)
		adv, err := s.up.Refs(askCtx, r, ask)
		cancel()
		if err != nil {
			s.log.Warn("cannot ask the upstream about an interrupted push; the next sync will see", "repo_id", r.ID, "error", err)
		} else {
			there = adv.Refs
			if there == nil {
				there = map[string]core.ObjectID{}
			}
		}
	}
	var keep []core.RefUpdate
	for i, u := range j.Updates {
		switch {
		case here[names[i]].Same(u.New):
			keep = append(keep, u)
		case there != nil && core.UpstreamOwned(j.Namespace, u.Name) && there[u.Name].Same(u.New):
			keep = append(keep, u)
		}
	}
	return keep, nil
}
