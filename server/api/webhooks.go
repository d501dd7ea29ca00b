package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/providers"
)

// Webhooks keeps outbound webhooks. [*events.Service] implements it; see there
// for the errors.
type Webhooks interface {
	Create(ctx context.Context, n events.NewWebhook) (core.Webhook, error)
	Update(ctx context.Context, org, id string, c events.Change) (core.Webhook, error)
	Delete(ctx context.Context, org, id string) error
	Webhook(ctx context.Context, org, id string) (core.Webhook, error)
	Webhooks(ctx context.Context, org string) ([]core.Webhook, error)
	Failing(w core.Webhook) bool
	Ping(ctx context.Context, org, id string) (core.Delivery, error)
	Redeliver(ctx context.Context, org, id, deliveryID string) (core.Delivery, error)
	Deliveries(ctx context.Context, org, id, before string, limit int) ([]events.Log, error)
	Delivery(ctx context.Context, org, id, deliveryID string) (events.Log, error)
}

var _ Webhooks = (*events.Service)(nil)

// webhookState sums up how a webhook is doing.
type webhookState string

const (
	webhookActive   webhookState = "active"
	webhookFailing  webhookState = "failing"  // for days; deliveries are tried slowly
	webhookInactive webhookState = "inactive" // switched off; collects nothing
)

// webhookView is an outbound webhook in answers: never with its secret.
type webhookView struct {
	ID            string          `json:"id"`
	URL           string          `json:"url"`
	Events        []string        `json:"events"`
	Repo          string          `json:"repo,omitempty"`    // name
	RepoID        string          `json:"repo_id,omitempty"` // of a filter, also when the repository is gone
	Active        bool            `json:"active"`
	State         webhookState    `json:"state"`
	CreatedAt     core.Timestamp  `json:"created_at"`
	UpdatedAt     core.Timestamp  `json:"updated_at"`
	FailingSince  *core.Timestamp `json:"failing_since,omitempty"`
	LastSuccessAt *core.Timestamp `json:"last_success_at,omitempty"`
	LastAttemptAt *core.Timestamp `json:"last_attempt_at,omitempty"`
	LastError     string          `json:"last_error,omitempty"`
}

// createdWebhook is a webhook whose secret is shown, this one time.
type createdWebhook struct {
	webhookView
	Secret string `json:"secret"`
}

// changedWebhook has the secret if it was changed.
type changedWebhook struct {
	webhookView
	Secret string `json:"secret,omitempty"`
}

// webhookBody is the body of a creation and of a change.
type webhookBody struct {
	URL    *string           `json:"url"`
	Events *[]string         `json:"events"`
	Repo   *string           `json:"repo"`
	Secret *providers.Secret `json:"secret"`
	Active *bool             `json:"active"`
}

// deliveryView is a delivery in the log.
type deliveryView struct {
	ID            string                `json:"id"`
	EventID       string                `json:"event_id,omitempty"` // absent for a ping
	EventType     string                `json:"event_type"`
	RepoID        string                `json:"repo_id,omitempty"`
	State         core.DeliveryState    `json:"state"`
	CreatedAt     core.Timestamp        `json:"created_at"`
	FinishedAt    *core.Timestamp       `json:"finished_at,omitempty"`
	NextAttemptAt *core.Timestamp       `json:"next_attempt_at,omitempty"`
	LastStatus    int                   `json:"last_status,omitempty"`
	LastError     string                `json:"last_error,omitempty"`
	Request       deliveryRequestView   `json:"request"`
	Attempts      []deliveryAttemptView `json:"attempts"`
}

type deliveryRequestView struct {
	Body json.RawMessage `json:"body"`
}

type deliveryAttemptView struct {
	Number     int            `json:"number"`
	At         core.Timestamp `json:"at"`
	DurationMS int64          `json:"duration_ms"`
	Status     int            `json:"status,omitempty"` // absent: no answer came
	Response   string         `json:"response"`
	Error      string         `json:"error,omitempty"`
}

// webhookList is the webhooks of an organisation, newest first.
type webhookList struct {
	Webhooks []webhookView `json:"webhooks"`
}

// deliveryList is a page of a delivery log, newest first.
type deliveryList struct {
	Deliveries []deliveryView `json:"deliveries"`
	pageFields
}

// webhooks makes an operation of a function that needs [Webhooks].
func webhooks(serve func(s *server, c *call) error) func(s *server, c *call) error {
	return func(s *server, c *call) error {
		if s.Webhooks == nil {
			return core.Errorf(core.KindUnsupported, "this server sends no webhooks")
		}
		return serve(s, c)
	}
}

func (s *server) createWebhook(c *call) error {
	var body webhookBody
	if err := c.body(&body); err != nil {
		return err
	}
	n := events.NewWebhook{Org: c.identity.Org, URL: deref(body.URL), Events: deref(body.Events), Secret: deref(body.Secret)}
	if n.URL == "" {
		return core.Errorf(core.KindInvalid, "the field \"url\" is required")
	}
	if body.Active != nil {
		n.Inactive = !*body.Active
	}
	if body.Repo != nil {
		id, err := s.repoFilter(c, *body.Repo)
		if err != nil {
			return err
		}
		n.RepoID = id
	}
	w, err := s.Webhooks.Create(c.ctx(), n)
	if err != nil {
		return err
	}
	c.changed = w.ID
	view, err := s.viewWebhook(c, w)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, createdWebhook{view, w.Secret.Reveal()})
}

func (s *server) listWebhooks(c *call) error {
	all, err := s.Webhooks.Webhooks(c.ctx(), c.identity.Org)
	if err != nil {
		return err
	}
	answer := webhookList{Webhooks: []webhookView{}}
	for _, w := range all {
		view, err := s.viewWebhook(c, w)
		if err != nil {
			return err
		}
		answer.Webhooks = append(answer.Webhooks, view)
	}
	return c.answer(http.StatusOK, answer)
}

func (s *server) getWebhook(c *call) error {
	id, err := c.segment("webhook")
	if err != nil {
		return err
	}
	w, err := s.Webhooks.Webhook(c.ctx(), c.identity.Org, id)
	if err != nil {
		return err
	}
	view, err := s.viewWebhook(c, w)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, view)
}

func (s *server) updateWebhook(c *call) error {
	id, err := c.segment("webhook")
	if err != nil {
		return err
	}
	var body webhookBody
	if err := c.change(&body); err != nil {
		return err
	}
	change := events.Change{URL: body.URL, Events: body.Events, Active: body.Active, Secret: body.Secret}
	if body.Repo != nil {
		filter, err := s.repoFilter(c, *body.Repo)
		if err != nil {
			return err
		}
		change.RepoID = &filter
	}
	w, err := s.Webhooks.Update(c.ctx(), c.identity.Org, id, change)
	if err != nil {
		return err
	}
	view, err := s.viewWebhook(c, w)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, changedWebhook{view, w.Secret.Reveal()})
}

func (s *server) deleteWebhook(c *call) error {
	id, err := c.segment("webhook")
	if err != nil {
		return err
	}
	if err := s.Webhooks.Delete(c.ctx(), c.identity.Org, id); err != nil {
		return err
	}
	return c.answer(http.StatusNoContent, nil)
}

func (s *server) pingWebhook(c *call) error {
	id, err := c.segment("webhook")
	if err != nil {
		return err
	}
	d, err := s.Webhooks.Ping(c.ctx(), c.identity.Org, id)
	if err != nil {
		return err
	}
	return c.answer(http.StatusAccepted, viewDelivery(events.Log{Delivery: d}))
}

func (s *server) listDeliveries(c *call) error {
	id, err := c.segment("webhook")
	if err != nil {
		return err
	}
	query := params{c.r.URL.Query()}
	page, err := query.page(deliveryListing)
	if err != nil {
		return err
	}
	list, err := s.Webhooks.Deliveries(c.ctx(), c.identity.Org, id, page.before, page.fetch())
	if err != nil {
		return err
	}
	list, rest := cut(page, list, func(l events.Log) string { return l.ID })
	answer := deliveryList{Deliveries: []deliveryView{}, pageFields: rest}
	for _, l := range list {
		answer.Deliveries = append(answer.Deliveries, viewDelivery(l))
	}
	return c.answer(http.StatusOK, answer)
}

func (s *server) getDelivery(c *call) error {
	id, delivery, err := deliverySegments(c)
	if err != nil {
		return err
	}
	l, err := s.Webhooks.Delivery(c.ctx(), c.identity.Org, id, delivery)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, viewDelivery(l))
}

func (s *server) redeliver(c *call) error {
	id, delivery, err := deliverySegments(c)
	if err != nil {
		return err
	}
	d, err := s.Webhooks.Redeliver(c.ctx(), c.identity.Org, id, delivery)
	if err != nil {
		return err
	}
	return c.answer(http.StatusAccepted, viewDelivery(events.Log{Delivery: d}))
}

func deliverySegments(c *call) (webhook, delivery string, err error) {
	if webhook, err = c.segment("webhook"); err != nil {
		return "", "", err
	}
	delivery, err = c.segment("delivery")
	return webhook, delivery, err
}

// repoFilter returns the id of the repository that a filter names; "" is none.
func (s *server) repoFilter(c *call, nameOrID string) (string, error) {
	if nameOrID == "" {
		return "", nil
	}
	repo, err := s.Lookup.Repository(c.ctx(), c.identity.Org, nameOrID)
	if core.KindOf(err) == core.KindNotFound {
		return "", core.Errorf(core.KindInvalid, "there is no repository %q in this organisation", nameOrID)
	}
	return repo.ID, err
}

func (s *server) viewWebhook(c *call, w core.Webhook) (webhookView, error) {
	view := webhookView{
		ID: w.ID, URL: w.URL, Events: orEmpty(w.Events), RepoID: w.RepoID, Active: w.Active, State: webhookActive,
		CreatedAt: core.Timestamp(w.CreatedAt), UpdatedAt: core.Timestamp(w.UpdatedAt),
		FailingSince: instant(w.FailingSince), LastSuccessAt: instant(w.LastSuccessAt), LastAttemptAt: instant(w.LastAttemptAt), LastError: w.LastError,
	}
	switch {
	case !w.Active:
		view.State = webhookInactive
	case s.Webhooks.Failing(w):
		view.State = webhookFailing
	}
	if w.RepoID == "" {
		return view, nil
	}
	repo, err := s.Lookup.Repository(c.ctx(), c.identity.Org, w.RepoID)
	if err != nil && core.KindOf(err) != core.KindNotFound {
		return webhookView{}, err
	}
	view.Repo = repo.Name
	return view, nil
}

func viewDelivery(l events.Log) deliveryView {
	view := deliveryView{
		ID: l.ID, EventID: l.EventID, EventType: l.EventType, RepoID: l.RepoID, State: l.State, CreatedAt: core.Timestamp(l.CreatedAt),
		FinishedAt: instant(l.FinishedAt), NextAttemptAt: instant(l.NextAttemptAt), LastStatus: l.LastStatus, LastError: l.LastError,
		Request: deliveryRequestView{Body: json.RawMessage(l.Payload)}, Attempts: []deliveryAttemptView{},
	}
	for _, a := range l.Tries {
		view.Attempts = append(view.Attempts, deliveryAttemptView{
			Number: a.Number, At: core.Timestamp(a.At), DurationMS: a.Duration.Milliseconds(), Status: a.Status, Response: printable(a.Response), Error: a.Error,
		})
	}
	return view
}

// printable is the beginning of a body that may be anything, as text.
func printable(body []byte) string {
	if utf8.Valid(body) {
		return string(body)
	}
	return strings.ToValidUTF8(string(body), "\uFFFD")
}

// deref returns what p points to, or the zero value.
func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
