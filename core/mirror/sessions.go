package mirror

import (
	"context"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/schedule"
)

// awaitPause is how soon a repository is looked at again whose refs sessions
// have, unless they end before: sessions may hang, and the server may stop.
const awaitPause = 30 * time.Second

// sessions waits for the ends of write sessions. It is safe for concurrent use.
type sessions struct {
	locks repo.Locker
	ended func(ctx context.Context, repoID string) // called when those of a repository have ended

	mu       sync.Mutex
	lifetime context.Context            //nolint:containedctx // of the service's Serve; nil: it does not run
	refs     map[string]map[string]bool // that sessions had when they were listed, by repository id
	waits    sync.WaitGroup
}

// start allows waits until ctx ends.
func (w *sessions) start(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lifetime = ctx
}

// stop allows no more waits, and returns when those that were begun have ended.
func (w *sessions) stop() {
	w.mu.Lock()
	w.lifetime = nil
	w.mu.Unlock()
	w.waits.Wait()
}

// await has ended called once as soon as the write sessions have ended that have these
// refs now.
func (w *sessions) await(repoID string, refs []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx := w.lifetime
	if ctx == nil || ctx.Err() != nil || len(refs) == 0 {
		return // at the start everything is looked at that is due
	}
	_, waits := w.refs[repoID]
	if !waits {
		w.refs[repoID] = map[string]bool{}
	}
	for _, ref := range refs {
		w.refs[repoID][ref] = true
	}
	if !waits {
		w.waits.Go(func() {
			w.follow(ctx, repoID)
			if ctx.Err() == nil {
				w.ended(ctx, repoID)
			}
		})
	}
}

// follow waits for one ref after the other, so that it never keeps a session waiting
// that wants several.
func (w *sessions) follow(ctx context.Context, repoID string) {
	for {
		ref, more := w.next(ctx, repoID)
		if !more {
			return
		}
		if unlock, err := w.locks.LockRef(ctx, repoID, ref, nil); err == nil {
			unlock()
		}
	}
}

// next takes a ref off those of a repository; false: there is none, or ctx has ended.
func (w *sessions) next(ctx context.Context, repoID string) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() == nil {
		for ref := range w.refs[repoID] {
			delete(w.refs[repoID], ref)
			return ref, true
		}
	}
	delete(w.refs, repoID)
	return "", false
}

// sessionsEnded has a repository looked at whose write sessions have ended.
func (s *Service) sessionsEnded(ctx context.Context, repoID string) {
	if err := s.lookSoon(ctx, repoID); err != nil && core.KindOf(err) != core.KindNotFound && ctx.Err() == nil {
		s.log.Warn("a repository is looked at later than it could be", "repo_id", repoID, "error", err)
	}
}

// lookSoon has what waits for a repository begin now, else has it looked at.
func (s *Service) lookSoon(ctx context.Context, repoID string) error {
	state, err := s.store.SyncState(ctx, repoID)
	if err != nil {
		return err
	}
	if state.Served < state.Wanted {
		_, err = s.schedule.Request(ctx, repoID, schedule.TriggerPush, "")
		return err
	}
	now := s.clock.Now()
	err = s.store.SetPoll(ctx, repoID, now)
	s.schedule.Notify(schedule.Look, now)
	return err
}
