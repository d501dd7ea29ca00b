package api

import (
	"context"
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/inbound"
)

// Inbound receives webhooks from hosts. See [inbound.Service] for the errors.
type Inbound interface {
	Webhook(ctx context.Context, repoID string) (core.InboundWebhook, error)
	Rotate(ctx context.Context, repoID string) (core.InboundWebhook, error)
	Replay(ctx context.Context, instance string) (inbound.Replay, error)
}

var _ Inbound = (*inbound.Service)(nil)

// inboundView says how a repository's inbound webhook is doing.
type inboundView struct {
	State          core.InboundState `json:"state"`
	Message        string            `json:"message,omitempty"` // why it is not active, and what to do
	LastDeliveryAt *core.Timestamp   `json:"last_delivery_at,omitempty"`
	LastMissedAt   *core.Timestamp   `json:"last_missed_at,omitempty"`
}

func viewInboundHealth(w core.InboundWebhook) inboundView {
	return inboundView{
		State: w.State, Message: w.Message, LastDeliveryAt: instant(w.LastDeliveryAt), LastMissedAt: instant(w.LastMissedAt),
	}
}

// inboundWebhookView is the address of an inbound webhook. It holds the token,
// so only those who may change the repository see it.
type inboundWebhookView struct {
	URL string `json:"url"`
	inboundView
	CheckedAt *core.Timestamp `json:"checked_at,omitempty"`
}

func (s *server) viewInbound(c *call, w core.InboundWebhook) inboundWebhookView {
	return inboundWebhookView{
		URL: s.base(c.r) + inbound.PathOf(*c.repo.Upstream, w.Token), inboundView: viewInboundHealth(w), CheckedAt: instant(w.CheckedAt),
	}
}

// inboundService refuses if there is none.
func (s *server) inboundService() (Inbound, error) {
	if s.Inbound == nil {
		return nil, core.Errorf(core.KindUnsupported, "this server takes no webhooks")
	}
	return s.Inbound, nil
}

func (s *server) getInboundWebhook(c *call) error {
	service, err := s.inboundService()
	if err != nil {
		return err
	}
	if err := c.synced(); err != nil {
		return err
	}
	w, err := service.Webhook(c.ctx(), c.repo.ID)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, s.viewInbound(c, w))
}

// rotatedInboundWebhook is the answer that shows a secret, once.
type rotatedInboundWebhook struct {
	inboundWebhookView
	Secret string `json:"secret"`
}

func (s *server) rotateInboundWebhook(c *call) error {
	service, err := s.inboundService()
	if err != nil {
		return err
	}
	if err := c.synced(); err != nil {
		return err
	}
	w, err := service.Rotate(c.ctx(), c.repo.ID)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, rotatedInboundWebhook{s.viewInbound(c, w), w.Secrets[0].Reveal()})
}

// ReplayStatus is a look for webhooks of a host that never arrived.
type ReplayStatus struct {
	At         core.Timestamp `json:"at"`
	Since      core.Timestamp `json:"since"`
	Failed     int            `json:"failed"`
	Replayed   int            `json:"replayed"`
	Incomplete bool           `json:"incomplete"`
	Error      string         `json:"error,omitempty"`
}

// ViewReplay is how a replay is shown.
func ViewReplay(r inbound.Replay) ReplayStatus {
	return ReplayStatus{
		At: core.Timestamp(r.At), Since: core.Timestamp(r.Since), Failed: r.Failed, Replayed: r.Replayed, Incomplete: r.Incomplete, Error: r.Error,
	}
}

func (s *server) replayDeliveries(c *call) error {
	service, err := s.inboundService()
	if err != nil {
		return err
	}
	name, err := c.segment("name")
	if err != nil {
		return err
	}
	r, err := service.Replay(c.ctx(), name)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, ViewReplay(r))
}
