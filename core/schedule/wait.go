package schedule

import (
	"context"
	"slices"
	"sync"
)

// waiters are the callers of [Service.Wait], and the failures that they may have
// come too late for, by repository id.
type waiters struct {
	mu     sync.Mutex
	byRepo map[string][]chan Result
	// failed is the last run of a repository, if it failed. It has served nothing, so
	// the store does not tell whoever asks after its end that it has ended.
	failed map[string]Result
}

// Wait waits until a run that started with the generation, or a later one, has
// ended, and returns its error, also if it had ended before the call. A run that had
// started before does not count; one that the store did not let start does, although
// it will be tried again.
// Errors: KindNotFound if the repository is not synced, or is detached or deleted
// meanwhile; ctx's cause.
func (s *Service) Wait(ctx context.Context, repoID string, generation int64) error {
	// Before the state is read, so that no end is missed between the two.
	ch, failed := s.waiters.add(repoID)
	defer s.waiters.remove(repoID, ch)
	if failed.Err != nil && failed.Generation >= generation {
		return failed.Err
	}
	for {
		state, err := s.store.SyncState(ctx, repoID)
		if err != nil {
			return err
		}
		if state.Served >= generation {
			return nil
		}
		select {
		case r := <-ch:
			// A run that failed before it knew its generation failed for all who
			// wait: the store no longer says which request it was for.
			if r.Generation >= generation || r.Generation == 0 && r.Err != nil {
				return r.Err
			}
			// It may have been detached.
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// add registers a caller, and returns the last run of the repository if that failed.
func (w *waiters) add(repoID string) (ch chan Result, failed Result) {
	ch = make(chan Result, 8)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.byRepo[repoID] = append(w.byRepo[repoID], ch)
	return ch, w.failed[repoID]
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

// tell passes the end of a run to those who wait, and keeps it if it failed.
func (w *waiters) tell(repoID string, r Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Err != nil && r.Generation > 0 {
		w.failed[repoID] = r
	} else {
		delete(w.failed, repoID)
	}
	w.pass(repoID, r)
}

// relinked has those who wait look whether the repository is still synced: no run
// would tell them if it is not. What failed was of the link from before.
func (w *waiters) relinked(repoID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.failed, repoID)
	w.pass(repoID, Result{})
}

// pass passes a result to those who wait; w.mu is held.
func (w *waiters) pass(repoID string, r Result) {
	for _, ch := range w.byRepo[repoID] {
		select {
		case ch <- r:
		default: // it has eight to read, and then reads the state
		}
	}
}
