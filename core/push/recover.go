package push

import (
	"context"
	"slices"
	"time"

	"github.com/headwater-git/headwater/core/repo"
)

// askTimeout bounds how long one try asks one upstream.
const askTimeout = 20 * time.Second

// Recover tries every open journal entry once, due or not: those that a crash
// left and those that sessions of this process did. The upstream is the source of
// truth, the journal says what to ask: what the upstream has is applied here (the
// objects are in the local store already) and gets its event, once; the rest is
// dropped, once that is sure. One entry that cannot be settled does not keep the
// others waiting; it is left for the next call, and its error is returned.
func (s *Service) Recover(ctx context.Context) error {
	if err := s.Survey(ctx); err != nil {
		return err
	}
	if err := s.settleOpen(ctx, true); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// Survey notes the journal entries that are open now, for Run, and locks their
// refs until they are settled: a sync or a session that came first would
// find the change in place or make it, and the change would have two events. Call
// it after [repo.Repos.Recover] and before anything is served: an entry that is
// opened later belongs to a session that runs and settles it itself.
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
	var found []*unsettled
	for _, j := range entries {
		if slices.ContainsFunc(s.open, func(u *unsettled) bool { return u.Entry.ID == j.ID }) {
			continue
		}
		u := &unsettled{Unfinished: repo.Unfinished{Entry: j}}
		found = append(found, u)
		for _, name := range u.names() {
			var unlock func()
			if s.claims[claimKey{j.RepoID, name}] == nil {
				if unlock, err = s.repos.Locks().LockRef(ctx, j.RepoID, name, nil); err != nil {
					return err
				}
			}
			s.claim(j.RepoID, name, unlock)
		}
	}
	s.open, s.surveyed = append(s.open, found...), true
	return nil
}

// adopt takes over what a transaction left open: Run settles it, and its refs stay
// locked until then. It waits for no lock: a session that has one of the refs now
// keeps it to its end.
func (s *Service) adopt(left repo.Unfinished) {
	u := &unsettled{Unfinished: left}
	at := make(map[string]func(), len(left.Entry.Updates))
	now, cancel := context.WithCancel(context.Background())
	cancel() // what is free is taken all the same
	for _, name := range u.names() {
		unlock := left.Locks.Take(name)
		if unlock == nil {
			var err error
			if unlock, err = s.repos.Locks().LockRef(now, left.Entry.RepoID, name, nil); err != nil {
				go s.lockLater(left.Entry.RepoID, name)
			}
		}
		at[name] = unlock
	}
	u.Locks = nil // they are the claims'
	s.mu.Lock()
	for name, unlock := range at {
		s.claim(left.Entry.RepoID, name, unlock)
	}
	u.next = s.clock.Now().Add(s.o.SettlePeriod / (settleListings + 1))
	if u.Ending != nil || u.Taken || !u.Entry.Upstream {
		u.next = s.clock.Now().Add(settlePause) // there is nobody to wait for but the store
	}
	s.open = append(s.open, u)
	s.mu.Unlock()
	s.wake()
}

// lockLater gives a claim the lock of its ref once that is free.
func (s *Service) lockLater(repoID, name string) {
	ctx, cancel := context.WithTimeout(context.Background(), s.o.PushTimeout)
	defer cancel()
	unlock, err := s.repos.Locks().LockRef(ctx, repoID, name, nil)
	if err != nil {
		return
	}
	s.mu.Lock()
	c := s.claims[claimKey{repoID, name}]
	taken := c != nil && c.unlock == nil
	if taken {
		c.unlock = unlock
	}
	s.mu.Unlock()
	if !taken {
		unlock() // settled meanwhile
	}
}
