// Package generic is the provider of hosts that are opened with a credential
// which a user stored: a user name and a password, or a token alone. The
// plugins for GitLab, Bitbucket, Gitea and so on say how their host differs.
package generic

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/providers"
)

// Host says what is special about one kind of host.
type Host struct {
	Manifest providers.Manifest
	Rules    forge.Rules
	// Username returns the user name that git must send with a stored
	// credential.
	Username func(providers.StoredCredential) string
	// API is the host's API, nil if it has none that a stored credential
	// opens. Without it the host is asked in git's own protocol.
	API *API
	// ParseWebhook verifies and reads an inbound webhook whose size was
	// checked, nil if the host sends none that are understood.
	ParseWebhook func(providers.WebhookRequest) (providers.WebhookResult, error)
	// Webhooks says how webhooks are registered by the API, nil if a stored
	// credential cannot do that; WebhooksUnsupported is the reason then, one
	// sentence that says what to do instead.
	Webhooks            *Webhooks
	WebhooksUnsupported string
	// Listing says how the API lists the repositories of an owner, nil if it does
	// not.
	Listing *Listing
}

// API says how to ask a host about a repository.
type API struct {
	// Base returns the base URL for a host that has no api_url in its block,
	// "" if there is no API there.
	Base func(forge.Place) string
	// Repository returns the path of the question below the base URL, by
	// stable id if it is given, else by path.
	Repository func(p forge.Place, id string) string
	// PrivateIDs says that the question by id needs a credential even for
	// public repositories.
	PrivateIDs bool
	// Authorize adds the credential to a request.
	Authorize func(http.Header, providers.StoredCredential)
	// Read reads the answer.
	Read func(body []byte) (Repository, error)
}

// Repository is what an API tells about a repository.
type Repository struct {
	ID            string
	Path          string
	DefaultBranch string
	Visibility    string // "public", "private" or ""
	Archived      bool
	SizeHint      int64 // bytes
	CanPush       bool  // the API says that the credential may push
}

// Provider is the provider of one kind of host.
type Provider struct {
	*forge.Base
	host Host
}

var _ providers.Provider = (*Provider)(nil)

// New makes a provider that speaks to its hosts with the factory's clients.
func New(h Host, clients forge.ClientFactory) *Provider {
	return &Provider{Base: forge.NewBase(h.Manifest, clients), host: h}
}

// Resolve implements [providers.Provider].
func (p *Provider) Resolve(ctx context.Context, r providers.ResolveRequest) (providers.Remote, error) {
	if err := ctx.Err(); err != nil {
		return providers.Remote{}, err
	}
	config, err := p.Config()
	if err != nil {
		return providers.Remote{}, err
	}
	if err := forge.CheckStored(r.Stored); err != nil {
		return providers.Remote{}, err
	}
	place, err := p.host.Rules.Place(p.host.Manifest, config, r.Locator)
	if err != nil {
		return providers.Remote{}, err
	}
	if !r.Contact {
		return p.remote(place, Repository{ID: r.Locator.ID}), nil
	}
	repository, _, err := p.ask(ctx, place, r.Locator.ID, r.Stored)
	if err != nil {
		return providers.Remote{}, err
	}
	if repository.Path != "" {
		// A host's word goes through the same rules as a user's.
		owner, name := forge.SplitPath(repository.Path)
		place, err = p.host.Rules.Place(p.host.Manifest, config, providers.Locator{Host: place.Host, Owner: owner, Name: name})
		if err != nil {
			return providers.Remote{}, providers.Errorf(providers.CodeUnavailable, "%s tells a path that cannot be used: %v", place.Host, err)
		}
	}
	return p.remote(place, repository), nil
}

func (p *Provider) remote(place forge.Place, r Repository) providers.Remote {
	return providers.Remote{
		URL:           place.CloneURL(),
		WebURL:        place.WebURL(),
		Host:          place.Host,
		Path:          place.Path(),
		UpstreamID:    r.ID,
		DefaultBranch: r.DefaultBranch,
		Visibility:    r.Visibility,
		Archived:      r.Archived,
		SizeHint:      r.SizeHint,
		PushSupported: p.host.Manifest.Capabilities.PushHTTPS && !r.Archived,
	}
}

// ask asks the host about a repository, by its API if it has one.
func (p *Provider) ask(ctx context.Context, place forge.Place, id string, stored *providers.StoredCredential) (Repository, forge.Answer, error) {
	client := forge.Client{HTTP: p.HTTPClient(place.Policy), Host: place.Host}
	base := place.Policy.APIURL
	if p.host.API != nil && base == "" {
		base = p.host.API.Base(place)
	}
	if p.host.API == nil || base == "" {
		return p.askGit(ctx, client, place, stored)
	}
	byID := id
	if stored == nil && p.host.API.PrivateIDs {
		byID = ""
	}
	header := http.Header{"Accept": {"application/json"}}
	var secret providers.Secret
	if stored != nil {
		p.host.API.Authorize(header, *stored)
		secret = stored.Secret
	}
	answer, err := client.Get(ctx, strings.TrimRight(base, "/")+p.host.API.Repository(place, byID), header)
	if err != nil {
		return Repository{}, answer, err
	}
	refused := answer.Status == http.StatusUnauthorized || answer.Status == http.StatusForbidden
	switch {
	case answer.Status == http.StatusOK:
		repository, err := p.host.API.Read(answer.Body)
		if err != nil || repository.Path == "" {
			return Repository{}, answer, providers.Errorf(providers.CodeUnavailable, "the API of %s gives an answer that is not understood", place.Host)
		}
		if id != "" && repository.ID != id {
			return Repository{}, answer, providers.Errorf(providers.CodeNotFound,
				"%s at %s is another repository now: the one that is followed has been renamed or deleted", place.Path(), place.Host)
		}
		return repository, answer, nil
	case refused && stored != nil && id == "" && !forge.Limited(answer):
		// Tokens that open git need not open the API.
		return p.askGit(ctx, client, place, stored)
	}
	return Repository{}, answer, p.explain(client.Error(answer, place.Path(), secret), place, stored)
}

// askGit asks the host about a repository in git's own protocol.
func (p *Provider) askGit(ctx context.Context, client forge.Client, place forge.Place, stored *providers.StoredCredential) (Repository, forge.Answer, error) {
	answer, err := client.Discover(ctx, place, p.basic(stored))
	var e *providers.Error
	if errors.As(err, &e) {
		err = p.explain(e, place, stored)
	}
	return Repository{}, answer, err
}

// explain says what to do about a repository that strangers cannot see.
func (p *Provider) explain(e *providers.Error, place forge.Place, stored *providers.StoredCredential) *providers.Error {
	hidden := e.Code == providers.CodeNotFound || e.Code == providers.CodeUnauthenticated
	if stored != nil || !hidden {
		return e
	}
	e.Message = place.Host + " has no public repository " + place.Path()
	if p.host.Manifest.Capabilities.PushHTTPS {
		e.Message += "; if it is private, store a credential for it"
	}
	return e
}

// basic returns the credential for git.
func (p *Provider) basic(stored *providers.StoredCredential) providers.Credential {
	if stored == nil {
		return providers.Credential{Kind: providers.CredentialNone}
	}
	return providers.Credential{Kind: providers.CredentialBasic, Username: p.host.Username(*stored), Secret: stored.Secret}
}

// Credential implements [providers.Provider]. A stored credential does not
// expire as far as the plugin knows, so there is nothing to refresh.
func (p *Provider) Credential(ctx context.Context, r providers.CredentialRequest) (providers.Credential, error) {
	if err := ctx.Err(); err != nil {
		return providers.Credential{}, err
	}
	config, err := p.Config()
	if err != nil {
		return providers.Credential{}, err
	}
	if err := forge.CheckOperation(r.Operation); err != nil {
		return providers.Credential{}, err
	}
	place, err := p.host.Rules.PlaceOf(p.host.Manifest, config, r.Remote)
	if err != nil {
		return providers.Credential{}, err
	}
	if err := p.CheckPush(r.Operation); err != nil {
		return providers.Credential{}, err
	}
	if err := forge.CheckStored(r.Stored); err != nil {
		return providers.Credential{}, err
	}
	if r.Stored == nil && r.Operation.Writes() {
		return providers.Credential{}, providers.Errorf(providers.CodeUnauthenticated,
			"a push to %s needs a credential: store one for this repository", place.Host)
	}
	return p.basic(r.Stored), nil
}

// Probe implements [providers.Provider]. A host that answers is reachable,
// whatever it says; errors are only about the request and the context.
func (p *Provider) Probe(ctx context.Context, r providers.ProbeRequest) (providers.ProbeResult, error) {
	if err := ctx.Err(); err != nil {
		return providers.ProbeResult{}, err
	}
	config, err := p.Config()
	if err != nil {
		return providers.ProbeResult{}, err
	}
	if err := forge.CheckStored(r.Stored); err != nil {
		return providers.ProbeResult{}, err
	}
	place, err := p.host.Rules.PlaceOf(p.host.Manifest, config, r.Remote)
	if err != nil {
		return providers.ProbeResult{}, err
	}
	repository, answer, err := p.ask(ctx, place, r.Remote.UpstreamID, r.Stored)
	canPush := repository.CanPush && !repository.Archived && p.host.Manifest.Capabilities.PushHTTPS
	return forge.Probed(ctx, answer, err, canPush)
}
