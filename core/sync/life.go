package sync

import "context"

// CheckUpstream asks that the host be asked what became of the upstream:
// renamed, archived, made private, gone. It returns before the answer is here.
// Errors: KindNotFound if the repository is not synced.
func (s *Service) CheckUpstream(ctx context.Context, repoID string) error {
	_, err := s.Request(ctx, repoID, TriggerWebhook, "")
	return err
}
