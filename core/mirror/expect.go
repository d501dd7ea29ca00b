package mirror

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/inbound"
)

// AwaitSessions implements [inbound.Sessions].
func (s *Service) AwaitSessions(repoID string, refs []string) (until time.Time, held bool) {
	for _, ref := range refs {
		if !s.repos.Locks().RefLocked(repoID, ref) {
			return time.Time{}, false
		}
	}
	s.sessions.await(repoID, refs)
	return s.clock.Now().Add(awaitPause), true
}

// expected reads the open expectations of a repository, and where their refs
// are here.
func (m *Mirror) expected(ctx context.Context, repoID string) (open []core.Expectation, before map[string]core.ObjectID, err error) {
	open, err = m.store.Expectations(ctx, repoID)
	if err != nil || len(open) == 0 {
		return nil, nil, err
	}
	names := make([]string, len(open))
	for i, e := range open {
		names[i] = e.Ref
	}
	before, err = m.git.RefsNamed(ctx, m.repos.Path(repoID), names)
	return open, before, err
}

// settle returns which of the expectations a listing has settled.
func (m *Mirror) settle(ctx context.Context, repoID string, open []core.Expectation, listed, before map[string]core.ObjectID) []core.Expectation {
	return inbound.Met(open, listed, before, m.clock.Now(), func(a, b core.ObjectID) bool {
		ok, err := m.git.IsAncestor(ctx, m.repos.Path(repoID), a, b)
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
