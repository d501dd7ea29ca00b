package sync

import (
	"context"

	"github.com/headwater-git/headwater/core"
)

// Announced takes what an inbound webhook said: look at the repository, and
// expect these ids on these refs. Without expectations it is a look alone.
// Errors: KindNotFound if the repository is not synced.
func (s *Service) Announced(ctx context.Context, repoID string, _ []core.Expectation) error {
	_, err := s.Request(ctx, repoID, TriggerWebhook, "")
	return err
}
