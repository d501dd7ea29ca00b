package lfs

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
)

const (
	// listTries and confirmPause are how often, and how far apart, an upstream is asked
	// for a list that it does not give.
	listTries    = 3
	confirmPause = 2 * time.Second
	// clocksApart is how far the clock of a host may be behind this server's for a lock
	// to count as made since.
	clocksApart = time.Minute
)

// confirmLock finds out whether the host has made a lock whose answer was lost, which began
// to be asked for at l.LockedAt. *[LockedError]: somebody has another one.
func (s *Service) confirmLock(ctx context.Context, up Upstream, l core.LFSLock, failure error) (Lock, error) {
	is := func(there Lock) bool { return there.Path == l.Path }
	there, err := s.settled(ctx, up, LockQuery{Path: l.Path}, is, true)
	switch {
	case err != nil:
		return Lock{}, unknown(failure, "outcome unknown: the upstream may have locked %q, and does not say (%s); look with git lfs locks in a few minutes: "+
			"if there is a lock that nobody else asked for, remove it with git lfs unlock --force and lock again", l.Path, core.MessageOf(err))
	case there == nil:
		return Lock{}, unknown(failure, "%q is not locked: the answer of the upstream was lost, and it lists no lock of it now; lock it again", l.Path)
	}
	known, err := s.o.Store.LFSLocks(ctx, core.LFSLockFilter{RepoID: l.RepoID, ID: there.ID, Limit: 1})
	if err != nil {
		return Lock{}, err
	}
	if len(known) > 0 || there.LockedAt.Before(l.LockedAt.Add(-clocksApart)) {
		return Lock{}, &LockedError{Lock: *there}
	}
	switch ours, err := up.Ours(ctx, there.ID, l.Ref); {
	case err != nil:
		return Lock{}, unknown(failure, "outcome unknown: %q is locked by %s since %s, and the upstream does not say whether this request did it (%s); "+
			"if nobody else did, remove the lock with git lfs unlock --force and lock again", l.Path, there.Owner, there.LockedAt.Format(time.RFC3339), core.MessageOf(err))
	case !ours:
		return Lock{}, &LockedError{Lock: *there}
	}
	return *there, nil
}

// confirmUnlock finds out whether the host has removed a lock when the answer was lost.
func (s *Service) confirmUnlock(ctx context.Context, up Upstream, l Lock, failure error) (Lock, error) {
	is := func(there Lock) bool { return there.ID == l.ID }
	there, err := s.settled(ctx, up, LockQuery{ID: l.ID}, is, false)
	switch {
	case err != nil:
		return Lock{}, unknown(failure, "outcome unknown: the upstream may have removed the lock %q, and does not say (%s); look with git lfs locks in a few minutes, and unlock it again if it is there", l.ID, core.MessageOf(err))
	case there != nil:
		return Lock{}, unknown(failure, "%q is still locked: the answer of the upstream was lost, and it lists the lock; unlock it again", there.Path)
	}
	return l, nil
}

// unknown is the failure of a change at the upstream in other words.
func unknown(failure error, format string, args ...any) error {
	return &core.Error{Kind: core.KindUpstreamUnavailable, Message: core.Errorf(core.KindUpstreamUnavailable, format, args...).Message, Err: failure}
}

// settled asks the upstream for the lock that is wanted, and once more if it is not as a
// change that has taken place leaves it: the host may still be at it. nil: there is none.
func (s *Service) settled(ctx context.Context, up Upstream, q LockQuery, is func(Lock) bool, there bool) (*Lock, error) {
	found, err := s.listed(ctx, up, q, is)
	if err == nil && (found != nil) != there {
		if err = s.pause(confirmPause); err == nil {
			found, err = s.listed(ctx, up, q, is)
		}
	}
	return found, err
}

// listed asks the upstream for a lock until it answers, a few times. nil: there is none.
func (s *Service) listed(ctx context.Context, up Upstream, q LockQuery, is func(Lock) bool) (*Lock, error) {
	for try := 1; ; try++ {
		found, next, err := up.Locks(ctx, q)
		if i := slices.IndexFunc(found, is); err == nil && i >= 0 {
			return &found[i], nil
		}
		if err == nil && next != "" { // it heeds no filter
			err = core.Errorf(core.KindUpstreamRejected, "the upstream lists other locks than it was asked for")
		}
		if err == nil || !passing(err) || try == listTries {
			return nil, err
		}
		if err := s.pause(confirmPause); err != nil {
			return nil, err
		}
	}
}

// pause waits, at most until the service ends.
func (s *Service) pause(d time.Duration) error {
	select {
	case <-s.o.Clock.After(d):
		return nil
	case <-s.life.Done():
		return core.Errorf(core.KindUpstreamUnavailable, "the server is shutting down")
	}
}

// lockKey names a path of a repository.
type lockKey struct{ repo, path string }

// turns lets one at a time lock a path. It is safe for concurrent use.
type turns struct {
	mu   sync.Mutex
	held map[lockKey]chan struct{} // closed at the end of the turn
}

// take waits for the turn; end must be called at its end.
func (t *turns) take(ctx context.Context, k lockKey) (end func(), err error) {
	for {
		t.mu.Lock()
		other := t.held[k]
		if other == nil {
			mine := make(chan struct{})
			if t.held == nil {
				t.held = map[lockKey]chan struct{}{}
			}
			t.held[k] = mine
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				defer t.mu.Unlock()
				delete(t.held, k)
				close(mine)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
