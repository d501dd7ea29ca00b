package schedule

import (
	"context"
	"slices"
	"sync"
)

// waiters are the callers of [Service.Wait], by repository id.
type waiters struct {
	mu     sync.Mutex
	byRepo map[string][]chan Result
}

// Wait waits until a run that started with the generation, or a later one, has
// ended, and returns its error. A run that had started before does not count; one
// that the store did not let start does, although it will be tried again.
// Errors: KindNotFound if the repository is not synced; ctx's cause.
func (s *Service) Wait(ctx context.Context, repoID string, generation int64) error {
	// Before the state is read, so that no end is missed between the two.
	ch := s.waiters.add(repoID)
	defer s.waiters.remove(repoID, ch)
	state, err := s.store.SyncState(ctx, repoID)
	if err != nil {
		return err
	}
	if state.Served >= generation {
		return nil
	}
	for {
		select {
		case r := <-ch:
			// A run that failed before it knew its generation failed for all who
			// wait: the store no longer says which request it was for.
			if r.Generation >= generation || r.Generation == 0 && r.Err != nil {
				return r.Err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *waiters) add(repoID string) chan Result {
	ch := make(chan Result, 8)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.byRepo[repoID] = append(w.byRepo[repoID], ch)
	return ch
}

func (w *waiters) remove(repoID string, ch chan Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := slices.DeleteFunc(w.byRepo[repoID], func(c chan Result) bool { return c == ch })
	if len(all) == 0 {
		delete(w.byRepo, repoID)
		return
	}
	w.byRepo[repoID] = all
}

// tell passes the end of a run to those who wait.
func (w *waiters) tell(repoID string, r Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ch := range w.byRepo[repoID] {
		select {
		case ch <- r:
		default: // a waiter that does not receive is ended by its context
		}
	}
}
