package main

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/headwater-git/headwater/core/access"
)

// rewriteAnswer is a rewrite as the API tells it.
type rewriteAnswer struct {
	ID             string     `json:"id"`
	Ref            string     `json:"ref"`
	Old            string     `json:"old"`
	New            string     `json:"new"`
	State          string     `json:"state"`
	Source         string     `json:"source"`
	Actor          string     `json:"actor"`
	Bytes          int64      `json:"bytes,omitempty"`
	CreatedAt      time.Time  `json:"created_at"`
	ExpiresAt      *time.Time `json:"expires_at,omitempty"`
	DecidedAt      *time.Time `json:"decided_at,omitempty"`
	DecidedBy      string     `json:"decided_by,omitempty"`
	RestoredBranch string     `json:"restored_branch,omitempty"`
}

// rewrites lists the rewrites of a repository, newest first, page by page.
func (c *client) rewrites(ctx context.Context, name, ref, state string, each func(rewriteAnswer) error) error {
	q := url.Values{}
	if ref != "" {
		q.Set("ref", ref)
	}
	if state != "" {
		q.Set("state", state)
	}
	call := apiCall{method: http.MethodGet, path: []string{"api", "repos", name, "rewrites"}, query: q, repo: name, scopes: []access.Scope{access.GitRead}}
	return pages(ctx, c, call, "rewrites", noLimit, each)
}

func (c *client) rewrite(ctx context.Context, name, id string) (rewriteAnswer, error) {
	var out rewriteAnswer
	err := c.do(ctx, apiCall{
		method: http.MethodGet, path: []string{"api", "repos", name, "rewrites", id}, repo: name, scopes: []access.Scope{access.GitRead},
	}, &out)
	return out, err
}

// decideRewrite restores, approves or dismisses a rewrite.
func (c *client) decideRewrite(ctx context.Context, name, id, verb string, body any) (rewriteAnswer, error) {
	var out rewriteAnswer
	err := c.do(ctx, apiCall{
		method: http.MethodPost, path: []string{"api", "repos", name, "rewrites", id, verb}, repo: name, scopes: []access.Scope{access.GitWrite}, body: body,
	}, &out)
	return out, err
}
