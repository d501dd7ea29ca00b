package push

import (
	"context"
	"slices"
	"strings"
)

// refLocks are the locks of a session's refs, by their names on disk: an update
// whose outcome is open keeps its own, and no other.
type refLocks struct{ unlock map[string]func() }

// lockRefs takes the locks in sorted order, as [repo.Locker] does for all at once.
func (s *Service) lockRefs(ctx context.Context, repoID string, names []string, waiting func()) (*refLocks, error) {
	names = slices.Clone(names)
	slices.SortFunc(names, strings.Compare)
	l := &refLocks{unlock: map[string]func(){}}
	for _, name := range slices.Compact(names) {
		unlock, err := s.repos.Locks().LockRefs(ctx, repoID, []string{name}, waiting)
		if err != nil {
			l.release()
			return nil, err
		}
		l.unlock[name] = unlock
	}
	return l, nil
}

// take returns what unlocks a ref, which is no longer the session's to unlock.
func (l *refLocks) take(name string) func() {
	unlock := l.unlock[name]
	delete(l.unlock, name)
	return unlock
}

// release unlocks what was not taken.
func (l *refLocks) release() {
	for _, unlock := range l.unlock {
		unlock()
	}
}

// claimKey names a ref of a repository, as on disk.
type claimKey struct{ repoID, ref string }

// claim is the lock of a ref that open entries need, each of which counts.
type claim struct {
	entries int
	unlock  func()
}

// claim counts an entry at a ref; s.mu is held.
func (s *Service) claim(repoID, name string, unlock func()) {
	key := claimKey{repoID, name}
	c := s.claims[key]
	if c == nil {
		c = &claim{}
		s.claims[key] = c
		s.repos.SetUnsettled(repoID, name, true)
	}
	if unlock != nil {
		c.unlock = unlock
	}
	c.entries++
}

// disclaim is the opposite of claim; s.mu is held.
func (s *Service) disclaim(repoID, name string) {
	key := claimKey{repoID, name}
	c := s.claims[key]
	if c == nil {
		return
	}
	if c.entries--; c.entries > 0 {
		return
	}
	delete(s.claims, key)
	s.repos.SetUnsettled(repoID, name, false)
	if c.unlock != nil {
		c.unlock()
	}
}
