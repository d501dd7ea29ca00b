package upstream

import (
	"context"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/netguard"
)

// OwnerRequest names an owner at a host in the words of the API.
type OwnerRequest struct {
	Provider string
	Public   bool
	Host     string // "": the provider's default
	Owner    string
}

// Owner is an organisation, group, workspace or user at a host.
type Owner struct {
	Provider string // the word of the wire
	Public   bool
	Instance string
	Mode     core.Mode
	Host     string
	Owner    string
	Lists    bool // its repositories can be listed
}

// Owner finds the provider of an owner. The host is not contacted. Errors:
// KindInvalid (unknown provider, no or a bad owner or host, address not allowed),
// KindUpstreamUnavailable.
func (s *Service) Owner(ctx context.Context, r OwnerRequest) (Owner, error) {
	const op = "find owner"
	o := Owner{Provider: strings.ToLower(strings.TrimSpace(r.Provider)), Public: r.Public, Owner: strings.Trim(r.Owner, "/")}
	if o.Owner == "" {
		return Owner{}, core.Errorf(core.KindInvalid, "the owner is missing: an organisation, group, workspace or user of the host")
	}
	if host := strings.TrimSpace(r.Host); host != "" {
		h, err := netguard.ParseHost(host)
		if err != nil {
			return Owner{}, &core.Error{Kind: core.KindInvalid, Op: op, Message: "upstream_host: " + err.Error()}
		}
		o.Host = h
	}
	p, err := s.plugins.Find(ctx, o.Provider, r.Public, o.Host)
	if err != nil {
		return Owner{}, coreError(op, err)
	}
	m, err := p.Manifest(ctx)
	if err != nil {
		return Owner{}, coreError(op, err)
	}
	if o.Host == "" {
		o.Host = m.DefaultHost
	}
	if o.Host == "" {
		return Owner{}, core.Errorf(core.KindInvalid, "provider %q has no default host: give upstream_host", o.Provider)
	}
	o.Host = strings.ToLower(o.Host)
	if _, err := netguard.Pin(ctx, s.resolver, o.Host, p.HostPolicy(o.Host).AllowPrivate); forbidden(err) {
		return Owner{}, &core.Error{Kind: core.KindInvalid, Op: op, Message: err.Error()}
	}
	// The plugin's own rules for names, by a repository that need not exist.
	if _, err := p.Resolve(ctx, providers.ResolveRequest{Locator: providers.Locator{Host: o.Host, Owner: o.Owner, Name: "name"}}); err != nil {
		return Owner{}, coreError(op, err)
	}
	o.Instance, o.Mode, o.Lists = p.Name(), m.Mode, m.Capabilities.Listing
	return o, nil
}

// ListPage returns one page of an owner's repositories. A credential is used with
// generic providers only. Errors: KindNotFound (no such owner, or not shown),
// KindUpstreamRejected and KindPrecondition (the credential, or App, opens no
// listing), KindRateLimited with RetryAfter, KindUpstreamUnavailable,
// KindUnsupported.
func (s *Service) ListPage(ctx context.Context, o Owner, c *providers.StoredCredential, cursor string) (providers.RepositoryPage, error) {
	const op = "list repositories"
	if !o.Lists {
		return providers.RepositoryPage{}, core.Errorf(core.KindUnsupported, "provider %q does not list the repositories of an owner: mirror them one by one", o.Instance)
	}
	p, err := s.plugins.Instance(o.Instance)
	if err != nil {
		return providers.RepositoryPage{}, coreError(op, err)
	}
	if o.Mode != providers.ModeGeneric {
		c = nil
	}
	page, err := p.ListRepositories(ctx, providers.ListRequest{Host: o.Host, Owner: o.Owner, Stored: c, Cursor: cursor})
	return page, coreError(op, err)
}
