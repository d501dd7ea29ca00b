package upstream

import (
	"context"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/netguard"
)

// Plugin is one provider instance, as the host of plugins offers it.
type Plugin interface {
	Name() string
	Manifest(ctx context.Context) (providers.Manifest, error)
	HostPolicy(host string) providers.HostPolicy
	// Poll says when upstreams are looked at unasked, unless the repository
	// says otherwise: "off", "auto" or a Go duration, in the words of
	// [core.Settings]. It is never empty.
	Poll() string
	// WebhookSecrets are what inbound webhooks at the address of the whole
	// instance are verified with; none: they are refused.
	WebhookSecrets() []providers.Secret
	// WebhookHosts are the hosts that such secrets are set for.
	WebhookHosts() []string
	Resolve(ctx context.Context, r providers.ResolveRequest) (providers.Remote, error)
	Credential(ctx context.Context, r providers.CredentialRequest) (providers.Credential, error)
	Probe(ctx context.Context, r providers.ProbeRequest) (providers.ProbeResult, error)
	// ParseWebhook returns verified webhooks only.
	ParseWebhook(ctx context.Context, r providers.WebhookRequest) (providers.WebhookResult, error)
	// The others answer CodeUnsupported where the manifest does not offer them.
	EnsureWebhook(ctx context.Context, r providers.EnsureWebhookRequest) (providers.RegisteredWebhook, error)
	RemoveWebhook(ctx context.Context, r providers.RemoveWebhookRequest) error
	ReplayDeliveries(ctx context.Context, r providers.ReplayRequest) (providers.ReplayResult, error)
	ListRepositories(ctx context.Context, r providers.ListRequest) (providers.RepositoryPage, error)
}

// Plugins finds provider instances.
type Plugins interface {
	// Find returns the instance for a provider word of the wire.
	Find(ctx context.Context, wire string, public bool, host string) (Plugin, error)
	// Instance returns the instance of that name.
	Instance(name string) (Plugin, error)
	// Webhook returns the instance that the address of an inbound webhook
	// names: by its own name, else by that of its provider. Errors:
	// CodeNotFound.
	Webhook(name string) (Plugin, error)
	// Instances returns the names of all instances, sorted.
	Instances() []string
}

// credentialValidity is how long a credential must live at least when an
// operation starts. A first mirror asks anew for each of its steps.
const credentialValidity = 5 * time.Minute

// Links is what the store knows of the way to upstreams.
type Links interface {
	RepositoryByID(ctx context.Context, id string) (core.Repository, error)
	CredentialByRepo(ctx context.Context, repoID string) (core.Credential, error)
}

// Service opens upstreams. It is safe for concurrent use.
type Service struct {
	plugins  Plugins
	links    Links
	resolver netguard.Resolver
	discover *discovery.Discoverer
	given    *given // nil: stored credentials are used
}

// given is a credential that is used whatever is stored.
type given struct{ credential *providers.StoredCredential }

// New returns a service. A nil resolver is the system's.
func New(plugins Plugins, links Links, resolver netguard.Resolver, discover *discovery.Discoverer) *Service {
	if resolver == nil {
		resolver = net.DefaultResolver
	}
	return &Service{plugins: plugins, links: links, resolver: resolver, discover: discover}
}

// With returns a service that opens generic upstreams with the given credential,
// nil is none, in place of stored ones: for looking at an upstream before it is
// linked. What is stored for another upstream must not travel to that one.
func (s *Service) With(c *providers.StoredCredential) *Service {
	other := *s
	other.given = &given{c}
	return &other
}

// LinkRequest names an upstream in the words of the API.
type LinkRequest struct {
	Provider string
	Public   bool
	Owner    string
	Name     string
	Host     string
	// Listed is what a listing of the host said of the repository a moment ago; nil:
	// none did, and hosts that can be are asked.
	Listed *providers.Remote
}

// Link finds the provider for the request and returns the upstream it means.
// Generic upstreams are not contacted: their credential does not exist yet.
// Public ones must be readable now, App ones installed. Errors: KindInvalid
// (unknown provider, bad host or path, address not allowed), KindPrecondition
// (the App is not configured or not installed), KindNotFound (not readable),
// KindUpstreamUnavailable, KindRateLimited.
func (s *Service) Link(ctx context.Context, r LinkRequest) (core.Upstream, providers.Remote, error) {
	const op = "link upstream"
	wire := strings.ToLower(strings.TrimSpace(r.Provider))
	host := strings.TrimSpace(r.Host)
	if host != "" {
		h, err := netguard.ParseHost(host)
		if err != nil {
			return core.Upstream{}, providers.Remote{}, &core.Error{Kind: core.KindInvalid, Op: op, Message: "upstream_host: " + err.Error()}
		}
		host = h
	}
	p, err := s.plugins.Find(ctx, wire, r.Public, host)
	if err != nil {
		return core.Upstream{}, providers.Remote{}, coreError(op, err)
	}
	m, err := p.Manifest(ctx)
	if err != nil {
		return core.Upstream{}, providers.Remote{}, coreError(op, err)
	}
	if host == "" {
		host = m.DefaultHost
	}
	if host == "" {
		return core.Upstream{}, providers.Remote{}, core.Errorf(core.KindInvalid, "provider %q has no default host: give upstream_host", wire)
	}
	policy := p.HostPolicy(host)
	// Only what the address policy says counts here. A name that does not resolve
	// now may do so at the first contact, where it is checked again.
	if _, err := netguard.Pin(ctx, s.resolver, host, policy.AllowPrivate); forbidden(err) {
		return core.Upstream{}, providers.Remote{}, &core.Error{Kind: core.KindInvalid, Op: op, Message: err.Error()}
	}
	remote, err := p.Resolve(ctx, providers.ResolveRequest{
		Locator: providers.Locator{Host: host, Owner: r.Owner, Name: r.Name},
		Contact: m.Mode != providers.ModeGeneric && r.Listed == nil,
	})
	if err != nil {
		return core.Upstream{}, providers.Remote{}, coreError(op, err)
	}
	if r.Listed != nil {
		remote.UpstreamID, remote.DefaultBranch = r.Listed.UpstreamID, r.Listed.DefaultBranch
	}
	return core.Upstream{
		Provider: wire, Instance: p.Name(), Mode: m.Mode, Host: remote.Host, Owner: r.Owner, Name: r.Name,
		ID: remote.UpstreamID, URL: remote.URL,
	}, remote, nil
}

// HostFor returns the host that a caller means, as [Service.Link] would: the one
// it names, else the default one of the provider. Errors: KindInvalid.
func (s *Service) HostFor(ctx context.Context, provider, host string) (string, error) {
	if host = strings.TrimSpace(host); host != "" {
		h, err := netguard.ParseHost(host)
		if err != nil {
			return "", &core.Error{Kind: core.KindInvalid, Op: "find host", Message: "upstream_host: " + err.Error()}
		}
		return h, nil
	}
	wire := strings.ToLower(strings.TrimSpace(provider))
	p, err := s.plugins.Find(ctx, wire, false, "")
	if err != nil {
		return "", coreError("find host", err)
	}
	m, err := p.Manifest(ctx)
	if err != nil {
		return "", coreError("find host", err)
	}
	if m.DefaultHost == "" {
		return "", core.Errorf(core.KindInvalid, "provider %q has no default host: give upstream_host", wire)
	}
	return m.DefaultHost, nil
}

// Limit returns how many operations the operator allows at the upstream's host
// at once; 0 means the caller's default.
func (s *Service) Limit(up core.Upstream) int {
	p, err := s.plugins.Instance(up.Instance)
	if err != nil {
		return 0
	}
	return p.HostPolicy(up.Host).MaxConcurrent
}

// HostPolicy returns how a host may be spoken to that answers of the upstream name, such
// as where it keeps large files. A host without a block has the default policy.
func (s *Service) HostPolicy(up core.Upstream, host string) (providers.HostPolicy, error) {
	p, err := s.plugins.Instance(up.Instance)
	if err != nil {
		return providers.HostPolicy{}, coreError("find provider", err)
	}
	return p.HostPolicy(host), nil
}

// Manifest returns the manifest of the repository's provider.
func (s *Service) Manifest(ctx context.Context, up core.Upstream) (providers.Manifest, error) {
	p, err := s.plugins.Instance(up.Instance)
	if err != nil {
		return providers.Manifest{}, coreError("find provider", err)
	}
	m, err := p.Manifest(ctx)
	return m, coreError("ask provider", err)
}

// stored returns the repository's credential, or the one that was given; nil if
// there is none. A caller may hold a repository that has been pointed elsewhere
// since, with another credential, which must not reach the old host: so the link
// is read again after the credential, and must be the caller's. Errors:
// KindConflict if it is not.
//
// With fresh, the host has refused the credential: if it came of a rotation whose
// overlap has not ended, the one of before is returned.
func (s *Service) stored(ctx context.Context, repo core.Repository, fresh bool) (*providers.StoredCredential, error) {
	if repo.Upstream.Mode != providers.ModeGeneric {
		return nil, nil
	}
	if s.given != nil {
		return s.given.credential, nil
	}
	c, err := s.links.CredentialByRepo(ctx, repo.ID)
	if core.KindOf(err) == core.KindNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	now, err := s.links.RepositoryByID(ctx, repo.ID)
	if err != nil {
		return nil, err
	}
	if now.Upstream == nil || now.Upstream.Host != repo.Upstream.Host || now.Upstream.Instance != repo.Upstream.Instance {
		return nil, core.Errorf(core.KindConflict, "the repository was linked to another upstream meanwhile; try again")
	}
	if !strings.EqualFold(c.Host, repo.Upstream.Host) {
		return nil, nil // stored for another host, which must not see it sent elsewhere
	}
	if fresh && c.Previous != nil {
		return &providers.StoredCredential{Username: c.Previous.Username, Secret: c.Previous.Secret}, nil
	}
	return c.Stored(), nil
}

// Open returns what one operation needs to reach the repository's upstream.
// With fresh, the provider makes a new credential if it can. Errors: as the
// provider says, and KindPermission for an address that is not allowed.
func (s *Service) Open(ctx context.Context, repo core.Repository, operation providers.Operation, fresh bool) (git.Remote, error) {
	const op = "open upstream"
	if repo.Upstream == nil {
		return git.Remote{}, core.Errorf(core.KindInvalid, "the repository has no upstream")
	}
	up := *repo.Upstream
	p, err := s.plugins.Instance(up.Instance)
	if err != nil {
		return git.Remote{}, coreError(op, err)
	}
	stored, err := s.stored(ctx, repo, fresh)
	if err != nil {
		return git.Remote{}, err
	}
	remote, err := p.Resolve(ctx, providers.ResolveRequest{
		Locator: providers.Locator{Host: up.Host, Owner: up.Owner, Name: up.Name, ID: up.ID},
		Stored:  stored,
	})
	if err != nil {
		return git.Remote{}, coreError(op, err)
	}
	cred, err := p.Credential(ctx, providers.CredentialRequest{
		Remote: remote, Operation: operation, Stored: stored, MinValidity: credentialValidity, Fresh: fresh,
	})
	if err != nil {
		return git.Remote{}, coreError(op, err)
	}
	u, err := url.Parse(remote.URL)
	if err != nil || u.Host == "" || u.User != nil {
		return git.Remote{}, core.Errorf(core.KindInternal, "provider %q made a bad URL", up.Instance)
	}
	policy := p.HostPolicy(u.Host)
	if !strings.HasPrefix(u.Path, policy.BasePath+"/") {
		return git.Remote{}, core.Errorf(core.KindPermission, "provider %q leaves the base_path of host %q", up.Instance, u.Host)
	}
	if u.Scheme != policy.Scheme {
		return git.Remote{}, core.Errorf(core.KindPermission, "provider %q wants %s for host %q, which providers.hcl does not allow", up.Instance, u.Scheme, u.Host)
	}
	addrs, err := netguard.Pin(ctx, s.resolver, u.Host, policy.AllowPrivate)
	if err != nil {
		kind := core.KindUpstreamUnavailable
		if forbidden(err) {
			kind = core.KindPermission
		}
		return git.Remote{}, &core.Error{Kind: kind, Op: op, Message: err.Error()}
	}
	if lfs, err := url.Parse(remote.LFSURL); err != nil || lfs.User != nil {
		return git.Remote{}, core.Errorf(core.KindInternal, "provider %q made a bad URL of an LFS server", up.Instance)
	}
	r := git.Remote{URL: remote.URL, LFSURL: remote.LFSURL, Addrs: addrs, CAFile: policy.CAFile, Proxy: policy.Proxy}
	switch cred.Kind {
	case providers.CredentialBasic:
		r.Username, r.Password = cred.Username, cred.Secret
	case providers.CredentialHeader:
		r.Header, r.Password = cred.Header, cred.Secret
	}
	return r, nil
}

// Do opens the upstream and calls f. If the host refuses the credential, or does
// not show the repository to it, a fresh one is made and f is called once more;
// f must be repeatable.
func (s *Service) Do(ctx context.Context, repo core.Repository, operation providers.Operation, f func(r git.Remote) error) error {
	r, err := s.Open(ctx, repo, operation, false)
	if err != nil {
		return err
	}
	err = f(r)
	if err == nil || r.Anonymous() {
		return err
	}
	// To a token of an App that was taken out of a grant, hosts say "not found".
	if class, _ := Classify(err); class != core.ClassAuth && class != core.ClassNotFound {
		return err
	}
	again, openErr := s.Open(ctx, repo, operation, true)
	if core.KindOf(openErr) == core.KindPrecondition {
		// The provider knows why there is no credential any more (the App is
		// suspended, say); the host's answer to the old one tells less.
		return openErr
	}
	if openErr != nil {
		return err
	}
	if again.SameCredential(r) {
		return err // nothing fresher to try with
	}
	return f(again)
}

// Refs lists the upstream's refs under the prefixes.
func (s *Service) Refs(ctx context.Context, repo core.Repository, prefixes []string) (discovery.Advertisement, error) {
	var adv discovery.Advertisement
	err := s.Do(ctx, repo, providers.OpFetch, func(r git.Remote) error {
		var err error
		adv, err = s.discover.Refs(ctx, r, prefixes)
		return err
	})
	return adv, err
}

// forbidden reports whether an address check said no, as opposed to a name that
// did not resolve.
func forbidden(err error) bool { return providers.CodeOf(err) == providers.CodeInvalidArgument }
