package main

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/headwater-git/headwater/core/access"
)

// repoAnswer is a repository as the API tells it.
type repoAnswer struct {
	ID            string      `json:"repo_id"`
	Name          string      `json:"repo_name"`
	DefaultBranch string      `json:"default_branch"`
	CreatedAt     time.Time   `json:"created_at"`
	HTTPURL       string      `json:"http_url"`
	Base          *baseAnswer `json:"base_repo,omitempty"`
	Sync          *syncAnswer `json:"sync,omitempty"`
	Credential    *struct {
		ID       string `json:"id"`
		Username string `json:"username,omitempty"`
	} `json:"credential,omitempty"`
}

// baseAnswer is the upstream link of a repository.
type baseAnswer struct {
	Provider string `json:"provider"`
	Owner    string `json:"owner"`
	Name     string `json:"name"`
	Host     string `json:"upstream_host"`
}

// createRequest is the body of a creation.
type createRequest struct {
	DefaultBranch string       `json:"default_branch,omitempty"`
	Base          *baseRequest `json:"base_repo,omitempty"`
}

// baseRequest asks for an upstream link.
type baseRequest struct {
	Provider      string       `json:"provider"`
	Owner         string       `json:"owner"`
	Name          string       `json:"name"`
	Host          string       `json:"upstream_host,omitempty"`
	DefaultBranch string       `json:"default_branch,omitempty"` // "" follows the upstream's
	Auth          *authRequest `json:"auth,omitempty"`
}

// authRequest chooses the public mode.
type authRequest struct {
	Type string `json:"auth_type"`
}

func (c *client) createRepo(ctx context.Context, name string, r createRequest) (repoAnswer, error) {
	var out repoAnswer
	err := c.do(ctx, apiCall{method: http.MethodPost, path: []string{"api", "repos"}, repo: name, scopes: []access.Scope{access.RepoWrite}, body: r}, &out)
	return out, err
}

func (c *client) repo(ctx context.Context, name string) (repoAnswer, error) {
	var out repoAnswer
	err := c.do(ctx, apiCall{method: http.MethodGet, path: []string{"api", "repos", name}, repo: name, scopes: []access.Scope{access.GitRead}}, &out)
	return out, err
}

func (c *client) deleteRepo(ctx context.Context, name string) error {
	return c.do(ctx, apiCall{method: http.MethodDelete, path: []string{"api", "repos", name}, repo: name, scopes: []access.Scope{access.RepoWrite}}, nil)
}

func (c *client) detach(ctx context.Context, name string) error {
	return c.do(ctx, apiCall{method: http.MethodDelete, path: []string{"api", "repos", name, "base"}, repo: name, scopes: []access.Scope{access.GitWrite}}, nil)
}

func (c *client) pullUpstream(ctx context.Context, name, ref string) (wanted int64, err error) {
	body := map[string]string{}
	if ref != "" {
		body["ref"] = ref
	}
	var answer struct {
		Wanted int64 `json:"wanted"`
	}
	err = c.do(ctx, apiCall{
		method: http.MethodPost, path: []string{"api", "repos", name, "pull-upstream"},
		repo: name, scopes: []access.Scope{access.GitWrite}, body: body,
	}, &answer)
	return answer.Wanted, err
}

// repos lists the organisation's repositories, newest first, page by page.
func (c *client) repos(ctx context.Context, query string, each func(repoAnswer) error) error {
	q := url.Values{}
	if query != "" {
		q.Set("q", query)
	}
	call := apiCall{method: http.MethodGet, path: []string{"api", "repos"}, query: q, repo: orgClaim, scopes: []access.Scope{access.OrgRead}}
	return pages(ctx, c, call, "repos", noLimit, each)
}
