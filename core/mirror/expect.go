package mirror

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

// Announced takes what an inbound webhook said: look at the repository, and
// expect these ids on these refs. Without expectations it is a look alone.
// Errors: KindNotFound if the repository is not synced.
func (s *Service) Announced(ctx context.Context, repoID string, expect []core.Expectation) error {
	err := s.store.Tx(ctx, func(q core.Queries) error { return s.AnnounceIn(ctx, q, repoID, expect) })
	if err == nil {
		s.schedule.NotifyAll()
	}
	return err
}

// AnnounceIn is [Service.Announced] in the transaction that records the webhook,
// so that neither is there without the other. Call [Service.NotifyAll] once it is
// committed.
func (s *Service) AnnounceIn(ctx context.Context, q core.Queries, repoID string, expect []core.Expectation) error {
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
	if names := s.own(repoID, wanted); len(names) > 0 && state.Ready() {
		s.await(repoID, names)
		return q.SetPoll(ctx, repoID, sooner(state.PollAt, s.clock.Now().Add(awaitPause)))
	}
	return s.schedule.RequestFolded(ctx, q, state)
}

// own returns the names of the announced refs if write sessions here have all of
// them: likely the echo of a push that is on its way through. Looked at now, the
// copy would differ, for want of a moment.
func (s *Service) own(repoID string, announced []core.Expectation) []string {
	var names []string
	for _, e := range announced {
		if !s.repos.Locks().RefLocked(repoID, e.Ref) {
			return nil
		}
		names = append(names, e.Ref)
	}
	return names
}

// NotifyAll has the schedule look at what is due now.
func (s *Service) NotifyAll() { s.schedule.NotifyAll() }

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

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// sooner returns the earlier of two times of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// met returns the expectations that a listing has settled. before is where the
// expected refs were here when it was asked for, and ancestor tells whether the
// one commit is in the history of the other.
func met(open []core.Expectation, listed, before map[string]core.ObjectID, now time.Time, ancestor func(a, b core.ObjectID) bool) []core.Expectation {
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

// expected reads the open expectations of a repository, and where their refs
// are here.
func (s *Service) expected(ctx context.Context, repoID string) (open []core.Expectation, before map[string]core.ObjectID, err error) {
	open, err = s.store.Expectations(ctx, repoID)
	if err != nil || len(open) == 0 {
		return nil, nil, err
	}
	names := make([]string, len(open))
	for i, e := range open {
		names[i] = e.Ref
	}
	before, err = s.git.RefsNamed(ctx, s.repos.Path(repoID), names)
	return open, before, err
}

// settle returns which of the expectations a listing has settled.
func (s *Service) settle(ctx context.Context, repoID string, open []core.Expectation, listed, before map[string]core.ObjectID) []core.Expectation {
	return met(open, listed, before, s.clock.Now(), func(a, b core.ObjectID) bool {
		ok, err := s.git.IsAncestor(ctx, s.repos.Path(repoID), a, b)
		return err == nil && ok // one that is not here is no ancestor of what is
	})
}

// unexpect deletes what was settled.
func unexpect(ctx context.Context, q core.Queries, repoID string, settled []core.Expectation) error {
	for _, e := range settled {
		if err := q.Unexpect(ctx, repoID, e.Ref, e.New); err != nil {
			return err
		}
	}
	return nil
}
