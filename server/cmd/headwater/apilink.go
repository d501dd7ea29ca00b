package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/providers"
)

// planAnswer is what a change would do to refs.
type planAnswer struct {
	Created []core.RefUpdate `json:"created"`
	Moved   []core.RefUpdate `json:"moved"`
	Forced  []core.RefUpdate `json:"forced"`
	Deleted []core.RefUpdate `json:"deleted"`
	Held    []core.RefUpdate `json:"held"`
}

// linkRequest is the body that links a repository to an upstream.
type linkRequest struct {
	Base     baseRequest `json:"base_repo"`
	Username *string     `json:"username,omitempty"`
	Password string      `json:"password,omitempty"`
}

// withSecret adds a credential, if there is one.
func (r linkRequest) withSecret(username string, secret providers.Secret) linkRequest {
	if secret != "" {
		r.Username, r.Password = &username, secret.Reveal()
	}
	return r
}

// linkAnswer is a repository and what linking it does to its refs.
type linkAnswer struct {
	repoAnswer
	Plan planAnswer `json:"plan"`
}

// dryRun is the query of calls that shall change nothing.
func dryRun(dry bool) url.Values {
	if !dry {
		return nil
	}
	return url.Values{"dry_run": {"true"}}
}

// link attaches (POST) or re-points (PUT) a repository.
func (c *client) link(ctx context.Context, method, name string, r linkRequest, dry bool) (linkAnswer, error) {
	var out linkAnswer
	err := c.do(ctx, apiCall{
		method: method, path: []string{"api", "repos", name, "base"}, query: dryRun(dry), repo: name, scopes: []access.Scope{access.RepoWrite}, body: r,
	}, &out)
	return out, err
}

// settingsAnswer is the settings of a repository, and what new ones would do.
type settingsAnswer struct {
	Settings settingsFields `json:"settings"`
	Plan     *planAnswer    `json:"plan,omitempty"`
}

// settingsFields are the settings; durations are text, "" is the default.
type settingsFields struct {
	Poll           string           `json:"poll"`
	MaxStaleness   string           `json:"max_staleness"`
	Freshness      string           `json:"freshness"`
	RefPolicies    []core.RefPolicy `json:"ref_policies"`
	Retention      string           `json:"retention"`
	RetentionBytes int64            `json:"retention_bytes"`
	Include        []string         `json:"include"`
	Exclude        []string         `json:"exclude"`
	PullRequests   bool             `json:"pull_requests"`
	EphemeralTTL   string           `json:"ephemeral_ttl"`
	EphemeralQuota int              `json:"ephemeral_quota"`
}

func (c *client) settings(ctx context.Context, name string) (settingsAnswer, error) {
	var out settingsAnswer
	err := c.do(ctx, apiCall{
		method: http.MethodGet, path: []string{"api", "repos", name, "settings"}, repo: name, scopes: []access.Scope{access.GitRead},
	}, &out)
	return out, err
}

// changeSettings changes the settings that the map names, by the API's words.
func (c *client) changeSettings(ctx context.Context, name string, changes map[string]any, dry bool) (settingsAnswer, error) {
	var out settingsAnswer
	err := c.do(ctx, apiCall{
		method: http.MethodPatch, path: []string{"api", "repos", name, "settings"}, query: dryRun(dry),
		repo: name, scopes: []access.Scope{access.RepoWrite}, body: changes,
	}, &out)
	return out, err
}

// runAnswer is one run of a sync.
type runAnswer struct {
	ID          string    `json:"id"`
	Trigger     string    `json:"trigger"`
	Ref         string    `json:"ref,omitempty"`
	First       bool      `json:"is_first"`
	Outcome     string    `json:"outcome"`
	StartedAt   time.Time `json:"started_at"`
	RefsCreated int       `json:"refs_created"`
	RefsUpdated int       `json:"refs_updated"`
	RefsDeleted int       `json:"refs_deleted"`
	RefsForced  int       `json:"refs_forced"`
	RefsHeld    int       `json:"refs_held"`
	Bytes       int64     `json:"bytes"`
	DurationMS  *int64    `json:"duration_ms,omitempty"`
	Phases      []struct {
		Name       string `json:"name"`
		DurationMS int64  `json:"duration_ms"`
	} `json:"phases,omitempty"`
	Class string `json:"class,omitempty"`
	Error string `json:"error,omitempty"`
}

// runs lists the runs of a repository's sync, newest first, up to a limit.
func (c *client) runs(ctx context.Context, name string, limit int, each func(runAnswer) error) error {
	call := apiCall{method: http.MethodGet, path: []string{"api", "repos", name, "sync", "runs"}, repo: name, scopes: []access.Scope{access.GitRead}}
	return pages(ctx, c, call, "runs", limit, each)
}

// ensureRequest says what shall be here.
type ensureRequest struct {
	Refs    []ensureRef `json:"refs,omitempty"`
	IDs     []string    `json:"ids,omitempty"`
	Timeout string      `json:"timeout,omitempty"`
}

type ensureRef struct {
	Name string `json:"name"`
	ID   string `json:"id,omitempty"`
}

// ensureAnswer is what is here.
type ensureAnswer struct {
	Refs []struct {
		Name   string `json:"name"`
		ID     string `json:"id"`
		Here   bool   `json:"here"`
		Reason string `json:"reason,omitempty"`
	} `json:"refs"`
	IDs []struct {
		ID     string `json:"id"`
		Here   bool   `json:"here"`
		Reason string `json:"reason,omitempty"`
	} `json:"ids"`
	ObservedAt *time.Time `json:"observed_at,omitempty"`
}

// ensure waits until everything is here. When the time is up it returns what is,
// beside the error.
func (c *client) ensure(ctx context.Context, name string, r ensureRequest) (ensureAnswer, error) {
	var out ensureAnswer
	err := c.do(ctx, apiCall{
		method: http.MethodPost, path: []string{"api", "repos", name, "ensure"}, repo: name, scopes: []access.Scope{access.GitRead}, body: r,
	}, &out)
	if e, ok := errors.AsType[*apiError](err); ok && e.status == http.StatusGatewayTimeout {
		var late struct {
			Ensured *ensureAnswer `json:"ensured"`
		}
		// What a proxy has in its body says nothing.
		if json.Unmarshal(e.body, &late) == nil && late.Ensured != nil {
			out = *late.Ensured
		}
	}
	return out, err
}

// orphanAnswer is an ephemeral branch whose base was rewritten away.
type orphanAnswer struct {
	Branch    string `json:"branch"`
	ID        string `json:"id"`
	Ref       string `json:"ref"`
	RewriteID string `json:"rewrite_id"`
	Base      string `json:"base"`
}

// orphansAnswer is all that were looked for.
type orphansAnswer struct {
	Orphans []orphanAnswer `json:"orphans"`
	HasMore bool           `json:"has_more"`
}

func (c *client) orphans(ctx context.Context, name string) (orphansAnswer, error) {
	var out orphansAnswer
	err := c.do(ctx, apiCall{
		method: http.MethodGet, path: []string{"api", "repos", name, "ephemeral", "orphans"}, repo: name, scopes: []access.Scope{access.GitRead},
	}, &out)
	return out, err
}
