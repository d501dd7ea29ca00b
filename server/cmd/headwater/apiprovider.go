package main

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core/access"
)

// providerAnswer is a provider instance as a running server tells it.
type providerAnswer struct {
	Name  string   `json:"name"`
	Type  string   `json:"type"`
	Hosts []string `json:"hosts"` // that its block in providers.hcl names
}

// providers asks the running server for its provider instances.
func (c *client) providers(ctx context.Context) ([]providerAnswer, error) {
	var out struct {
		Providers []providerAnswer `json:"providers"`
	}
	call := apiCall{method: http.MethodGet, path: []string{"providers"}, repo: orgClaim, scopes: []access.Scope{access.OrgRead}}
	if err := c.do(ctx, call, &out); err != nil {
		return nil, c.explain(err, "ask the server for its providers")
	}
	return out.Providers, nil
}

// providerForHost returns the type of the provider whose configuration names
// the host.
func (c *client) providerForHost(ctx context.Context, host string) (string, error) {
	all, err := c.providers(ctx)
	if err != nil {
		return "", err
	}
	for _, p := range all {
		if slices.ContainsFunc(p.Hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
			return p.Type, nil
		}
	}
	return "", usagef("say what kind of host it is, like --provider gitea (also gitlab, bitbucket, forgejo, sourcehut)",
		"no provider of the server names the host %q", host)
}
