package inbound

import "sync"

// maxRecent bounds one generation of [recent]. Two of them hold what hosts send
// within hours, in a few MB.
const maxRecent = 20_000

// recent remembers the last deliveries, so that a storm of duplicates reaches
// neither the store nor a sync. The store knows all of them; this is a short
// cut, and what stops duplicates of a delivery whose transaction has not ended.
type recent struct {
	mu       sync.Mutex
	young    map[string]struct{}
	old      map[string]struct{}
	capacity int
}

func newRecent() *recent {
	return &recent{young: map[string]struct{}{}, old: map[string]struct{}{}, capacity: maxRecent}
}

// add reports whether the key is new, and remembers it.
func (r *recent) add(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.young[key]; ok {
		return false
	}
	if _, ok := r.old[key]; ok {
		return false
	}
	if len(r.young) >= r.capacity {
		r.young, r.old = make(map[string]struct{}, r.capacity), r.young
	}
	r.young[key] = struct{}{}
	return true
}

// remove forgets a delivery that failed: the host will send it again.
func (r *recent) remove(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.young, key)
	delete(r.old, key)
}
