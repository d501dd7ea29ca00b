package store

import "sync"

// watchers are those who want to know of new events. The zero value has none.
type watchers struct {
	mu    sync.Mutex
	added map[chan struct{}]struct{}
}

// WatchEvents implements [core.EventWatcher]. The channel is never closed; stop
// may be called more than once.
func (s *Store) WatchEvents() (added <-chan struct{}, stop func()) {
	return s.watchers.join()
}

func (w *watchers) join() (added <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.added == nil {
		w.added = map[chan struct{}]struct{}{}
	}
	w.added[c] = struct{}{}
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.added, c)
	}
}

// tell signals every watcher and waits for none: one that has not taken the
// last signal yet will look after this commit too.
func (w *watchers) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.added {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
