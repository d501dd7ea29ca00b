package schedule

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
)

// webhookPause is the least time between looks that webhooks cause: hosts send
// several per push. The first causes a run at once; those that come during the
// pause cause one look at its end.
const webhookPause = time.Second

// RequestFolded asks for a look at a repository because its host has announced a
// change, in the caller's transaction, in which the state was read. A burst of
// announcements folds into few looks. Call [Service.NotifyAll] once the
// transaction is committed.
func (s *Service) RequestFolded(ctx context.Context, q core.Queries, state core.SyncState) error {
	at := s.webhookTurn(state.RepoID, s.clock.Now())
	switch {
	case state.Served < state.Wanted && state.NextAttemptAt.IsZero() && !s.Running(state.RepoID):
		return nil // a look is about to begin
	case at.After(s.clock.Now()) && state.Ready():
		return q.SetPoll(ctx, state.RepoID, core.Sooner(state.PollAt, at))
	}
	_, err := q.RequestSync(ctx, state.RepoID, TriggerWebhook, "")
	return err
}

// NotifyAll has all rows read now. See [Service.Notify].
func (s *Service) NotifyAll() {
	now := s.clock.Now()
	s.Notify(Run, now)
	s.Notify(Look, now)
}

// webhookTurn returns when the look of a webhook may begin: now, or at the end of
// the pause after the last one.
func (a *agenda) webhookTurn(repoID string, now time.Time) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.webhooks) > 1000 {
		for id, at := range a.webhooks {
			if now.Sub(at) >= webhookPause {
				delete(a.webhooks, id)
			}
		}
	}
	last, ok := a.webhooks[repoID]
	if ok && now.Sub(last) < webhookPause {
		return last.Add(webhookPause)
	}
	a.webhooks[repoID] = now
	return now
}
