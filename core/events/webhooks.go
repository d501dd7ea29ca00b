package events

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
)

const (
	// minSecret and maxSecret bound a secret that the caller chooses, in bytes.
	minSecret = 8
	maxSecret = 256
	// maxWebhooks bounds the webhooks of one organisation: every event is held
	// against each of them.
	maxWebhooks = 200
	// lookupTimeout bounds the look at a new URL's host.
	lookupTimeout = 3 * time.Second
)

// NewWebhook is the wish for a webhook.
type NewWebhook struct {
	Org      string
	URL      string
	Events   []string
	RepoID   string           // "" is every repository of the organisation
	Secret   providers.Secret // "" has one made
	Inactive bool
}

// Change is what becomes different of a webhook; nil stays as it is.
type Change struct {
	URL    *string
	Events *[]string
	RepoID *string
	Active *bool
	Secret *providers.Secret // "" has a new one made
}

// Create makes a webhook and returns it with its secret. KindInvalid: the URL,
// the events or the secret will not do. KindConflict: there are too many.
func (s *Service) Create(ctx context.Context, n NewWebhook) (core.Webhook, error) {
	now := s.clock.Now()
	w := core.Webhook{
		ID: core.NewID("wh", now), Org: n.Org, URL: n.URL, RepoID: n.RepoID, Active: !n.Inactive, Secret: n.Secret, CreatedAt: now, UpdatedAt: now,
	}
	var err error
	if w.Events, err = checkEvents(n.Events); err != nil {
		return core.Webhook{}, err
	}
	if w.Secret, err = checkSecret(n.Secret); err != nil {
		return core.Webhook{}, err
	}
	if err := s.checkURL(ctx, n.URL); err != nil {
		return core.Webhook{}, err
	}
	err = s.store.Tx(ctx, func(q core.Queries) error {
		all, err := q.Webhooks(ctx, n.Org)
		if err != nil {
			return err
		}
		if len(all) >= maxWebhooks {
			return core.Errorf(core.KindConflict, "the organisation has %d webhooks already, which is the most there can be", len(all))
		}
		// In this transaction no event can come between the two.
		if w.StartSeq, err = q.LastSeq(ctx); err != nil {
			return err
		}
		return q.CreateWebhook(ctx, w)
	})
	if err != nil {
		return core.Webhook{}, err
	}
	s.log.Info("webhook created", "webhook_id", w.ID, "org", w.Org, "repo_id", w.RepoID)
	return w, nil
}

// Update changes a webhook. If that gave it another secret, the answer holds
// it; else Secret is empty. Switching it off ends what waits to be sent.
// KindInvalid as for Create; KindNotFound.
func (s *Service) Update(ctx context.Context, org, id string, c Change) (core.Webhook, error) {
	var secret providers.Secret
	var err error
	if c.Secret != nil {
		if secret, err = checkSecret(*c.Secret); err != nil {
			return core.Webhook{}, err
		}
	}
	if c.URL != nil {
		if err := s.checkURL(ctx, *c.URL); err != nil {
			return core.Webhook{}, err
		}
	}
	var w core.Webhook
	err = s.store.Tx(ctx, func(q core.Queries) error {
		if w, err = q.Webhook(ctx, org, id); err != nil {
			return err
		}
		if c.URL != nil {
			w.URL = *c.URL
		}
		if c.Events != nil {
			if w.Events, err = checkEvents(*c.Events); err != nil {
				return err
			}
		}
		if c.RepoID != nil {
			w.RepoID = *c.RepoID
		}
		if c.Active != nil {
			w.Active = *c.Active
		}
		w.Secret = secret
		w.UpdatedAt = s.clock.Now()
		if err := q.UpdateWebhook(ctx, w); err != nil {
			return err
		}
		if !w.Active {
			return q.CancelDeliveries(ctx, w.ID, w.UpdatedAt)
		}
		return nil
	})
	if err != nil {
		return core.Webhook{}, err
	}
	s.sender.hurry(id)
	s.log.Info("webhook changed", "webhook_id", id, "org", org)
	return w, nil
}

// dropBatch is how many deliveries one transaction deletes: some milliseconds,
// for which a push has to wait.
const dropBatch = 500

// Delete deletes a webhook with its deliveries. Of one that ends early some
// deliveries may be gone; call it again. KindNotFound.
func (s *Service) Delete(ctx context.Context, org, id string) error {
	for n := dropBatch; n == dropBatch; {
		var err error
		if n, err = s.store.DropDeliveries(ctx, org, id, dropBatch); err != nil {
			return err
		}
	}
	if err := s.store.DeleteWebhook(ctx, org, id); err != nil {
		return err
	}
	s.sender.hurry(id) // which forgets it
	s.log.Info("webhook deleted", "webhook_id", id, "org", org)
	return nil
}

// Webhook returns a webhook without its secret. KindNotFound.
func (s *Service) Webhook(ctx context.Context, org, id string) (core.Webhook, error) {
	w, err := s.store.Webhook(ctx, org, id)
	w.Secret = ""
	return w, err
}

// Webhooks lists the webhooks of an organisation, newest first, without their
// secrets.
func (s *Service) Webhooks(ctx context.Context, org string) ([]core.Webhook, error) {
	all, err := s.store.Webhooks(ctx, org)
	for i := range all {
		all[i].Secret = ""
	}
	return all, err
}

// Failing reports whether a webhook has failed for days, so that it is marked
// and tried slowly.
func (s *Service) Failing(w core.Webhook) bool { return isMarked(w, s.clock.Now()) }

// Ping sends a test delivery, which is tried once, and returns it as it waits.
// KindNotFound; KindConflict: the webhook is switched off.
func (s *Service) Ping(ctx context.Context, org, id string) (core.Delivery, error) {
	now := s.clock.Now()
	return s.deliver(ctx, org, id, func(_ core.Queries, w core.Webhook) (core.Delivery, error) {
		body, err := json.Marshal(map[string]any{
			"type": pingType, "webhook": map[string]any{"id": w.ID, "events": w.Events}, "created_at": core.EventTime(now),
		})
		return core.Delivery{EventType: pingType, Payload: body}, err
	})
}

// Redeliver sends the body of a delivery again, as a new delivery that waits
// behind those of the same repository. One that is still pending is tried at
// once instead. KindNotFound; KindConflict: the webhook is switched off.
func (s *Service) Redeliver(ctx context.Context, org, id, deliveryID string) (core.Delivery, error) {
	return s.deliver(ctx, org, id, func(q core.Queries, w core.Webhook) (core.Delivery, error) {
		d, err := q.Delivery(ctx, w.ID, deliveryID)
		if err != nil || d.State == core.DeliveryPending {
			return d, err
		}
		return core.Delivery{EventID: d.EventID, EventType: d.EventType, RepoID: d.RepoID, Payload: d.Payload, Trace: d.Trace}, nil
	})
}

// deliver adds the delivery that make returns to those of a webhook, or hurries
// it if it has an id already.
func (s *Service) deliver(ctx context.Context, org, id string, make func(q core.Queries, w core.Webhook) (core.Delivery, error)) (core.Delivery, error) {
	now := s.clock.Now()
	var d core.Delivery
	err := s.store.Tx(ctx, func(q core.Queries) error {
		w, err := q.Webhook(ctx, org, id)
		if err != nil {
			return err
		}
		if !w.Active {
			return core.Errorf(core.KindConflict, "the webhook is switched off; switch it on first")
		}
		if d, err = make(q, w); err != nil {
			return err
		}
		if d.ID != "" {
			d.NextAttemptAt = time.Time{}
			return q.SaveDelivery(ctx, d)
		}
		d.ID, d.WebhookID, d.State, d.CreatedAt = core.NewID("dlv", now), w.ID, core.DeliveryPending, now
		return q.AddDeliveries(ctx, []core.Delivery{d})
	})
	if err != nil {
		return core.Delivery{}, err
	}
	s.sender.hurry(id)
	return d, nil
}

// Log is a delivery with its attempts.
type Log struct {
	core.Delivery
	Tries []core.DeliveryAttempt // in order
}

// Deliveries lists deliveries of a webhook, newest first, with ids below
// before; "" starts at the newest. KindNotFound.
func (s *Service) Deliveries(ctx context.Context, org, id, before string, limit int) ([]Log, error) {
	if _, err := s.store.Webhook(ctx, org, id); err != nil {
		return nil, err
	}
	list, err := s.store.Deliveries(ctx, id, before, limit)
	if err != nil {
		return nil, err
	}
	logs := make([]Log, len(list))
	for i, d := range list {
		if logs[i], err = s.withTries(ctx, d); err != nil {
			return nil, err
		}
	}
	return logs, nil
}

// Delivery returns one delivery of a webhook. KindNotFound.
func (s *Service) Delivery(ctx context.Context, org, id, deliveryID string) (Log, error) {
	if _, err := s.store.Webhook(ctx, org, id); err != nil {
		return Log{}, err
	}
	d, err := s.store.Delivery(ctx, id, deliveryID)
	if err != nil {
		return Log{}, err
	}
	return s.withTries(ctx, d)
}

func (s *Service) withTries(ctx context.Context, d core.Delivery) (Log, error) {
	tries, err := s.store.Attempts(ctx, d.ID)
	return Log{d, tries}, err
}

// checkURL refuses a URL that no delivery could be sent to.
func (s *Service) checkURL(ctx context.Context, text string) error {
	u, err := s.policy.parseURL(text)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	return s.policy.checkHost(ctx, s.resolver, u.Hostname())
}

// checkEvents returns the types without repetitions, in the order of
// [core.EventTypes].
func checkEvents(types []string) ([]string, error) {
	known := core.EventTypes()
	for _, t := range types {
		if !slices.Contains(known, t) {
			return nil, core.Errorf(core.KindInvalid, "the event %q is unknown; known are %s", t, strings.Join(known, ", "))
		}
	}
	if len(types) == 0 {
		return nil, core.Errorf(core.KindInvalid, "the field \"events\" must name at least one of %s", strings.Join(known, ", "))
	}
	return slices.DeleteFunc(known, func(t string) bool { return !slices.Contains(types, t) }), nil
}

// checkSecret returns the secret, or a new one for an empty one. Receivers key
// the HMAC with the text as it is.
func checkSecret(secret providers.Secret) (providers.Secret, error) {
	text := secret.Reveal()
	if text == "" {
		return core.NewSecret(), nil
	}
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	if len(text) < minSecret || len(text) > maxSecret || strings.ContainsFunc(text, control) {
		return "", core.Errorf(core.KindInvalid, "the field \"secret\" must have %d to %d bytes and no control characters; leave it out to have one made", minSecret, maxSecret)
	}
	return secret, nil
}
