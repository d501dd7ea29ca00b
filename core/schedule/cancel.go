package schedule

import (
	"context"
	"sync"
)

// Cancel ends what runs for a repository, if anything does, and waits until it has
// ended: before the repository is detached or deleted. What is due is dropped and
// read again with the next scan. Callers of [Service.Wait] look whether the repository
// is still synced: call it after a repository was detached or deleted, too.
func (s *Service) Cancel(ctx context.Context, repoID string) error {
	defer s.waiters.relinked(repoID)
	r := s.forget(repoID)
	if r == nil {
		return nil
	}
	r.cancel()
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Halt keeps items of a repository from starting until it is resumed, ends the one
// that runs, and waits until it has ended. A change of the repository's link is
// made between Halt and resume: no work then has read the link before the change
// and goes on after it.
func (s *Service) Halt(ctx context.Context, repoID string) (resume func(), err error) {
	s.hold(repoID)
	resume = sync.OnceFunc(func() { s.resume(repoID) })
	if err := s.Cancel(ctx, repoID); err != nil {
		resume()
		return nil, err
	}
	return resume, nil
}

func (a *agenda) resume(repoID string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.halted[repoID]--; a.halted[repoID] == 0 {
		delete(a.halted, repoID)
	}
	// What is queued names the host from before the change.
	for _, h := range a.hosts {
		for kind, queue := range h.queue {
			h.queue[kind] = without(queue, repoID)
		}
	}
	a.noteChanged(repoID)
	now := a.clock.Now()
	a.scanBy(Run, now)
	a.scanBy(Look, now)
}

// without returns a queue without the items of a repository. It leaves the queue
// itself as it is.
func without(queue []queuedItem, repoID string) []queuedItem {
	for i, item := range queue {
		if item.RepoID == repoID {
			return append(append([]queuedItem(nil), queue[:i]...), without(queue[i+1:], repoID)...)
		}
	}
	return queue
}

// Running reports whether a run or look is under way for a repository.
func (a *agenda) Running(repoID string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.running[repoID] != nil
}
