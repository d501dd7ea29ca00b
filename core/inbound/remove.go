package inbound

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

// removeTimeout bounds the removal of one webhook at its host.
const removeTimeout = 10 * time.Second

// removal is a webhook that shall not be at its host any more. It has all that
// is needed for it: the row and the credential are gone when it is carried out.
type removal struct {
	plugin upstream.Plugin
	remote providers.Remote
	stored *providers.StoredCredential
	url    string
	hookID string
}

// Leaving prepares that the repository's webhook is removed at its host, which
// takes the stored credential. Call it before the link, the credential or the
// repository is deleted, and what it returns after that succeeded. Neither waits
// for the host: a webhook that cannot be removed delivers to an address that is
// not there any more.
func (s *Service) Leaving(ctx context.Context, r core.Repository) (gone func()) {
	nothing := func() {}
	if r.Upstream == nil {
		return nothing
	}
	w, r, stored, err := s.linked(ctx, r.ID)
	if err != nil || stored == nil || w.HookID == "" && w.State != core.InboundActive {
		return nothing // it was not registered by us, or cannot be removed any more
	}
	p, err := s.plugins.Instance(r.Upstream.Instance)
	if err != nil {
		return nothing
	}
	remote, err := s.locate(ctx, p, *r.Upstream, stored)
	if err != nil {
		s.log.Warn("the webhook at the host stays", "repo_id", r.ID, "error", err)
		return nothing
	}
	return func() {
		s.remove(removal{plugin: p, remote: remote, stored: stored, url: s.address(*r.Upstream, w.Token), hookID: w.HookID})
	}
}

// remove queues a removal.
func (s *Service) remove(r removal) {
	select {
	case s.removals <- r:
	default:
		s.log.Warn("too many webhooks are to be removed at once; one stays at its host", "host", r.remote.Host, "path", r.remote.Path, "hook_id", r.hookID)
	}
}

// followRemovals carries out what [Service.remove] queued until ctx ends.
func (s *Service) followRemovals(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-s.removals:
			s.carryOut(ctx, r)
		}
	}
}

func (s *Service) carryOut(ctx context.Context, r removal) {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	err := r.plugin.RemoveWebhook(ctx, providers.RemoveWebhookRequest{Remote: r.remote, Stored: r.stored, URL: r.url, HookID: r.hookID})
	if err != nil {
		s.log.Warn("a webhook could not be removed at its host", "host", r.remote.Host, "path", r.remote.Path, "hook_id", r.hookID, "error", err)
		return
	}
	s.log.Info("inbound webhook removed at the host", "host", r.remote.Host, "path", r.remote.Path, "hook_id", r.hookID)
}
