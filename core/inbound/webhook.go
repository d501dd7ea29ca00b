package inbound

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

// rotation is how long the older of two secrets is still accepted: what the
// host had sent, or sends again, with it.
const rotation = 24 * time.Hour

// newWebhook returns an address that nobody knows yet.
func newWebhook(repoID string, now time.Time) core.InboundWebhook {
	return core.InboundWebhook{
		RepoID: repoID, Token: core.NewSecret().Reveal(), Secrets: []providers.Secret{core.NewSecret()}, RotatedAt: now,
		State: core.InboundNone, CreatedAt: now,
	}
}

// Check makes the repository's address if it has none, and sees to its
// registration at the host soon: after the repository was linked, or its
// credential changed. It contacts nobody. Errors: KindNotFound if the repository
// has no upstream.
func (s *Service) Check(ctx context.Context, repoID string) error {
	return s.edit(ctx, repoID, func(*core.InboundWebhook) {})
}

// Webhook returns the repository's address, which is made if there is none.
// Errors: KindNotFound if the repository has no upstream.
func (s *Service) Webhook(ctx context.Context, repoID string) (core.InboundWebhook, error) {
	w, err := s.store.InboundWebhook(ctx, repoID)
	if core.KindOf(err) != core.KindNotFound {
		return w, err
	}
	if err := s.Check(ctx, repoID); err != nil {
		return core.InboundWebhook{}, err
	}
	return s.store.InboundWebhook(ctx, repoID)
}

// Rotate gives the repository's address a new secret, and registers it at the
// host where that is done by us. The old secret is accepted for a day more.
// Errors: KindNotFound if the repository has no upstream.
func (s *Service) Rotate(ctx context.Context, repoID string) (core.InboundWebhook, error) {
	var out core.InboundWebhook
	err := s.edit(ctx, repoID, func(w *core.InboundWebhook) {
		w.Secrets = append([]providers.Secret{core.NewSecret()}, w.Secrets[:min(1, len(w.Secrets))]...)
		w.RotatedAt = s.clock.Now()
		out = *w
	})
	if err == nil {
		s.log.Info("the secret of an inbound webhook was rotated", "repo_id", repoID)
	}
	return out, err
}

// edit changes the repository's address, made if there is none, and has it
// checked at once.
func (s *Service) edit(ctx context.Context, repoID string, change func(w *core.InboundWebhook)) error {
	now := s.clock.Now()
	err := s.store.Tx(ctx, func(q core.Queries) error {
		r, err := q.RepositoryByID(ctx, repoID)
		if err != nil {
			return err
		}
		if r.Upstream == nil {
			return core.Errorf(core.KindNotFound, "no upstream configured for this repository, so no webhook is expected")
		}
		w, err := q.InboundWebhook(ctx, repoID)
		switch {
		case core.KindOf(err) == core.KindNotFound:
			w = newWebhook(repoID, now)
		case err != nil:
			return err
		}
		change(&w)
		w.NextCheck = now
		return q.SaveInboundWebhook(ctx, w)
	})
	if err != nil {
		return err
	}
	s.CheckDue()
	return nil
}

// CheckDue has the webhooks checked now that are due: somebody else made one so.
func (s *Service) CheckDue() { s.due.Set() }

// complete gives every synced repository its address, and has those looked at
// again whose registration may have become possible with this start: another
// public URL, another plugin. It asks no host.
func (s *Service) complete(ctx context.Context) {
	ids, err := s.store.RepositoryIDs(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.log.Error("cannot list repositories; their webhooks are not looked at", "error", err)
		}
		return
	}
	for _, id := range ids {
		if ctx.Err() != nil {
			return
		}
		w, err := s.store.InboundWebhook(ctx, id)
		if err == nil && (w.State != core.InboundNone || !w.NextCheck.IsZero()) {
			continue
		}
		if err == nil || core.KindOf(err) == core.KindNotFound {
			err = s.Check(ctx, id)
		}
		if err != nil && core.KindOf(err) != core.KindNotFound && ctx.Err() == nil {
			s.log.Error("cannot look at an inbound webhook", "repo_id", id, "error", err)
		}
	}
}
