package push

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
