package remote

import (
	"context"
	"sync"
)

// slots bounds how many objects are moved at once at each host. It is safe for concurrent
// use.
type slots struct {
	mu    sync.Mutex
	hosts map[slotKey]*slotSet
}

// slotKey has the limit, so that another one of the operator counts at once.
type slotKey struct {
	host  string
	limit int
}

type slotSet struct {
	free  chan struct{}
	users int // who hold or await one
}

func newSlots() *slots { return &slots{hosts: map[slotKey]*slotSet{}} }

// take waits for a slot of the host, of which there are limit. The returned function gives
// it back, and may be called more than once.
func (s *slots) take(ctx context.Context, host string, limit int) (release func(), err error) {
	key := slotKey{host, limit}
	s.mu.Lock()
	set := s.hosts[key]
	if set == nil {
		set = &slotSet{free: make(chan struct{}, limit)}
		s.hosts[key] = set
	}
	set.users++
	s.mu.Unlock()
	leave := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if set.users--; set.users == 0 {
			delete(s.hosts, key)
		}
	}
	select {
	case set.free <- struct{}{}:
		return sync.OnceFunc(func() { <-set.free; leave() }), nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}
