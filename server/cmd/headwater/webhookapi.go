package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
)

// webhookAnswer is an outbound webhook as the API tells it.
type webhookAnswer struct {
	ID            string     `json:"id"`
	URL           string     `json:"url"`
	Events        []string   `json:"events"`
	Repo          string     `json:"repo,omitempty"`
	RepoID        string     `json:"repo_id,omitempty"`
	Active        bool       `json:"active"`
	State         string     `json:"state"`
	CreatedAt     time.Time  `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
	FailingSince  *time.Time `json:"failing_since,omitempty"`
	LastSuccessAt *time.Time `json:"last_success_at,omitempty"`
	LastAttemptAt *time.Time `json:"last_attempt_at,omitempty"`
	LastError     string     `json:"last_error,omitempty"`
	Secret        string     `json:"secret,omitempty"` // when it is new
}

// webhookRequest makes or changes a webhook; nil is left out.
type webhookRequest struct {
	URL    *string   `json:"url,omitempty"`
	Events *[]string `json:"events,omitempty"`
	Repo   *string   `json:"repo,omitempty"`
	Secret *string   `json:"secret,omitempty"`
	Active *bool     `json:"active,omitempty"`
}

// deliveryAnswer is a delivery as the API tells it.
type deliveryAnswer struct {
	ID            string             `json:"id"`
	EventID       string             `json:"event_id,omitempty"`
	EventType     string             `json:"event_type"`
	RepoID        string             `json:"repo_id,omitempty"`
	State         core.DeliveryState `json:"state"`
	CreatedAt     time.Time          `json:"created_at"`
	FinishedAt    *time.Time         `json:"finished_at,omitempty"`
	NextAttemptAt *time.Time         `json:"next_attempt_at,omitempty"`
	LastStatus    int                `json:"last_status,omitempty"`
	LastError     string             `json:"last_error,omitempty"`
	Request       json.RawMessage    `json:"request"`
	Attempts      []json.RawMessage  `json:"attempts"`
}

// webhookCall calls a route of webhooks.
func (c *client) webhookCall(ctx context.Context, method string, body any, out any, path ...string) error {
	scope := access.RepoWrite
	if method == http.MethodGet {
		scope = access.OrgRead
	}
	return c.do(ctx, apiCall{method: method, path: append([]string{"api", "webhooks"}, path...), repo: orgClaim, scopes: []access.Scope{scope}, body: body}, out)
}

func (c *client) createWebhook(ctx context.Context, r webhookRequest) (w webhookAnswer, err error) {
	err = c.webhookCall(ctx, http.MethodPost, r, &w)
	return w, err
}

func (c *client) webhooks(ctx context.Context, each func(webhookAnswer) error) error {
	var out struct {
		Webhooks []webhookAnswer `json:"webhooks"`
	}
	if err := c.webhookCall(ctx, http.MethodGet, nil, &out); err != nil {
		return err
	}
	for _, w := range out.Webhooks {
		if err := each(w); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) webhook(ctx context.Context, id string) (w webhookAnswer, err error) {
	err = c.webhookCall(ctx, http.MethodGet, nil, &w, id)
	return w, err
}

func (c *client) updateWebhook(ctx context.Context, id string, r webhookRequest) (w webhookAnswer, err error) {
	err = c.webhookCall(ctx, http.MethodPatch, r, &w, id)
	return w, err
}

func (c *client) deleteWebhook(ctx context.Context, id string) error {
	return c.webhookCall(ctx, http.MethodDelete, nil, nil, id)
}

func (c *client) ping(ctx context.Context, id string) (d deliveryAnswer, err error) {
	err = c.webhookCall(ctx, http.MethodPost, nil, &d, id, "ping")
	return d, err
}

func (c *client) delivery(ctx context.Context, webhook, id string) (d deliveryAnswer, err error) {
	err = c.webhookCall(ctx, http.MethodGet, nil, &d, webhook, "deliveries", id)
	return d, err
}

func (c *client) redeliver(ctx context.Context, webhook, id string) (d deliveryAnswer, err error) {
	err = c.webhookCall(ctx, http.MethodPost, nil, &d, webhook, "deliveries", id, "redeliver")
	return d, err
}

// deliveries lists the newest deliveries of a webhook, at most limit.
func (c *client) deliveries(ctx context.Context, webhook string, limit int, each func(deliveryAnswer) error) error {
	call := apiCall{method: http.MethodGet, path: []string{"api", "webhooks", webhook, "deliveries"}, repo: orgClaim, scopes: []access.Scope{access.OrgRead}}
	return pages(ctx, c, call, "deliveries", limit, each)
}
