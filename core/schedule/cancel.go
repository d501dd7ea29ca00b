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
	s.mu.Lock()
	delete(s.webhooks, repoID)
	s.noteChanged(repoID)
	r := s.running[repoID]
	s.mu.Unlock()
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
	s.mu.Lock()
	s.halted[repoID]++
	s.mu.Unlock()
	resume = sync.OnceFunc(func() { s.resume(repoID) })
	if err := s.Cancel(ctx, repoID); err != nil {
		resume()
		return nil, err
	}
	return resume, nil
}

func (s *Service) resume(repoID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.halted[repoID]--; s.halted[repoID] == 0 {
		delete(s.halted, repoID)
	}
	// What is queued names the host from before the change.
	for _, h := range s.hosts {
		for kind, queue := range h.queue {
			h.queue[kind] = without(queue, repoID)
		}
	}
	s.noteChanged(repoID)
	now := s.clock.Now()
	s.scanBy(Run, now)
	s.scanBy(Look, now)
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
func (s *Service) Running(repoID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running[repoID] != nil
}
