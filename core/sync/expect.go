package sync

import (
	"context"

	"github.com/headwater-git/headwater/core"
)

// Announced takes what an inbound webhook said: look at the repository, and
// expect these ids on these refs. Without expectations it is a look alone.
// Errors: KindNotFound if the repository is not synced.
func (s *Service) Announced(ctx context.Context, repoID string, expect []core.Expectation) error {
	err := s.store.Tx(ctx, func(q core.Queries) error { return s.AnnounceIn(ctx, q, repoID, expect) })
	if err == nil {
		s.Poke()
	}
	return err
}

// AnnounceIn is [Service.Announced] in the transaction that records the webhook,
// so that neither is there without the other. Call Poke once it is committed.
func (s *Service) AnnounceIn(ctx context.Context, q core.Queries, repoID string, expect []core.Expectation) error {
	if len(expect) > 0 {
		if err := q.Expect(ctx, expect); err != nil {
			return err
		}
	}
	_, err := q.RequestSync(ctx, repoID, TriggerWebhook, "")
	return err
}

// Poke has the scheduler look for due syncs now.
func (s *Service) Poke() { s.poke() }
