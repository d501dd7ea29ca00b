package engine

import (
	"context"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/inbound"
)

// InboundWebhook returns the address that the host of the repository's upstream
// may deliver webhooks to. KindInvalid: the repository has no upstream.
func (e *Engine) InboundWebhook(ctx context.Context, r core.Repository) (core.InboundWebhook, error) {
	if r.Upstream == nil {
		return core.InboundWebhook{}, core.Errorf(core.KindInvalid, "no upstream configured for this repository")
	}
	return e.inbound.Webhook(ctx, r.ID)
}

// RotateInboundWebhook gives that address a new secret, the first of Secrets.
// KindInvalid: the repository has no upstream.
func (e *Engine) RotateInboundWebhook(ctx context.Context, r core.Repository) (core.InboundWebhook, error) {
	if r.Upstream == nil {
		return core.InboundWebhook{}, core.Errorf(core.KindInvalid, "no upstream configured for this repository")
	}
	return e.inbound.Rotate(ctx, r.ID)
}

// ReplayDeliveries asks the host of a provider instance to send again the
// webhooks that never arrived. See [inbound.Service.Replay].
func (e *Engine) ReplayDeliveries(ctx context.Context, instance string) (inbound.Replay, error) {
	return e.inbound.Replay(ctx, instance)
}

// checkInbound sees to the repository's inbound webhook soon. It must not fail
// what caused it: the next start does it again.
func (e *Engine) checkInbound(ctx context.Context, repoID string) {
	if err := e.inbound.Check(context.WithoutCancel(ctx), repoID); err != nil && core.KindOf(err) != core.KindNotFound {
		e.log.Error("cannot look at an inbound webhook", "repo_id", repoID, "error", err)
	}
}
