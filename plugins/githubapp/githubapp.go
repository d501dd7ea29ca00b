// Package githubapp is the provider of repositories at GitHub that a GitHub App
// is installed on.
package githubapp

import (
	"context"
	"sync"
	"time"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/plugins/internal/github"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/sdk"
)

// Provider follows repositories at GitHub through a GitHub App of yours. No
// credential is stored: for every repository the provider finds where the App
// is installed and asks for a token that opens this one repository for an
// hour, read-only for fetches.
//
// To set it up, register a GitHub App with the repository permissions
// Contents: read and write, and Metadata: read (and Workflows: write, if pushes
// may touch .github/workflows), make a private key for it, install it on the
// owners of the repositories, and put this into providers.hcl:
//
//	provider "github-app" {
//	  app_id           = 123456
//	  private_key_file = "/etc/headwater/github-app.pem"
//	}
//
// Instead of private_key_file, private_key takes the PEM text itself.
// installation_id, if set, is used for all repositories instead of looking the
// installation up. A GitHub Enterprise server needs a host block; its API is
// expected at https://HOST/api/v3 unless api_url says otherwise. Hosts without
// a block are refused, because what the App signs must reach nobody else.
type Provider struct {
	*forge.Base

	mu     sync.Mutex
	app    *app // nil: not configured
	tokens map[tokenKey]installationToken
}

var _ providers.Provider = (*Provider)(nil)

// New returns the provider, to be configured.
func New() providers.Provider {
	m := github.Manifest(providers.Manifest{
		Name:         "github-app",
		Description:  "Repositories at GitHub, opened by a GitHub App",
		Mode:         providers.ModeApp,
		Capabilities: providers.Capabilities{PushHTTPS: true, AtomicPush: true, PushOptions: true, Replay: true, LFS: true},
		Attributes: []providers.Attribute{
			{Name: "app_id", Type: "number", Doc: "id of the GitHub App, from its settings page"},
			{Name: "private_key_file", Type: "string", Doc: "PEM file with a private key of the App"},
			{Name: "private_key", Type: "string", Sensitive: true, Doc: "PEM text of a private key of the App, instead of private_key_file"},
			{Name: "installation_id", Type: "number", Doc: "id of the one installation to use, instead of looking it up for each repository"},
		},
	})
	// A private repository is what an App is for.
	m.Capabilities.AnonymousFetch = false
	return &Provider{Base: forge.NewBase(m, sdk.HTTPClient), tokens: map[tokenKey]installationToken{}}
}

// Configure implements [providers.Provider]. Without any attribute the
// provider is there but has no App: what needs it answers
// [providers.CodeInvalidConfig].
func (p *Provider) Configure(ctx context.Context, c providers.Config) error {
	var a attributes
	if err := p.ConfigureInto(ctx, c, &a); err != nil {
		return err
	}
	made, err := newApp(a)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.app = made
	clear(p.tokens)
	return nil
}

// ready returns the App and the configuration.
// Errors: [providers.CodeInvalidConfig], with what to do.
func (p *Provider) ready() (*app, providers.Config, error) {
	config, err := p.Config()
	if err != nil {
		return nil, config, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.app == nil {
		return nil, config, providers.Errorf(providers.CodeInvalidConfig,
			"no GitHub App is configured: set app_id and private_key_file in the block provider \"github-app\" of providers.hcl and restart the server")
	}
	return p.app, config, nil
}

// Resolve implements [providers.Provider].
func (p *Provider) Resolve(ctx context.Context, r providers.ResolveRequest) (providers.Remote, error) {
	if err := ctx.Err(); err != nil {
		return providers.Remote{}, err
	}
	app, config, err := p.ready()
	if err != nil {
		return providers.Remote{}, err
	}
	place, err := github.Rules().Place(p.Manifest(), config, r.Locator)
	if err != nil {
		return providers.Remote{}, err
	}
	id, err := github.ParseID(r.Locator.ID)
	if err != nil {
		return providers.Remote{}, err
	}
	if !r.Contact {
		return github.Remote(place, r.Locator.ID, true), nil
	}
	repository, err := p.glance(ctx, place, id)
	if err != nil {
		// A token that does not open it any more says nothing of why: the
		// installation does.
		visit, err := p.visit(ctx, app, place, id)
		if err != nil {
			return providers.Remote{}, err
		}
		repository = visit.repository
	}
	return github.Known(p.Manifest(), config, place, repository, true)
}

// ParseWebhook implements [providers.Provider].
func (p *Provider) ParseWebhook(ctx context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
	if err := ctx.Err(); err != nil {
		return providers.WebhookResult{}, err
	}
	return github.ParseWebhook(r)
}

// Credential implements [providers.Provider].
func (p *Provider) Credential(ctx context.Context, r providers.CredentialRequest) (providers.Credential, error) {
	if err := ctx.Err(); err != nil {
		return providers.Credential{}, err
	}
	app, config, err := p.ready()
	if err != nil {
		return providers.Credential{}, err
	}
	if err := forge.CheckOperation(r.Operation); err != nil {
		return providers.Credential{}, err
	}
	place, err := github.Rules().PlaceOf(p.Manifest(), config, r.Remote)
	if err != nil {
		return providers.Credential{}, err
	}
	id, err := github.ParseID(r.Remote.UpstreamID)
	if err != nil {
		return providers.Credential{}, err
	}
	key := tokenKey{host: place.Host, path: place.Path(), id: id, push: r.Operation.Writes()}
	if r.Fresh {
		p.forget(key)
	}
	token, cached := p.cached(key, r.MinValidity)
	if !cached {
		s, err := app.session(p.HTTPClient(place.Policy), place)
		if err != nil {
			return providers.Credential{}, err
		}
		opened, _, err := s.open(ctx, key)
		if err != nil {
			return providers.Credential{}, err
		}
		token = opened.token
		p.keep(key, token)
	}
	if time.Until(token.expires) < r.MinValidity {
		return providers.Credential{}, providers.Errorf(providers.CodeUnsupported,
			"a token that is good for %s cannot be had: tokens of GitHub Apps end after an hour", r.MinValidity)
	}
	return providers.Credential{
		Kind:      providers.CredentialBasic,
		Username:  "x-access-token",
		Secret:    token.secret,
		ExpiresAt: token.expires,
	}, nil
}

// Probe implements [providers.Provider].
func (p *Provider) Probe(ctx context.Context, r providers.ProbeRequest) (providers.ProbeResult, error) {
	if err := ctx.Err(); err != nil {
		return providers.ProbeResult{}, err
	}
	app, config, err := p.ready()
	if err != nil {
		return providers.ProbeResult{}, err
	}
	place, err := github.Rules().PlaceOf(p.Manifest(), config, r.Remote)
	if err != nil {
		return providers.ProbeResult{}, err
	}
	id, err := github.ParseID(r.Remote.UpstreamID)
	if err != nil {
		return providers.ProbeResult{}, err
	}
	visit, err := p.visit(ctx, app, place, id)
	canPush := err == nil && visit.mayPush && !visit.repository.GetArchived()
	return forge.Probed(ctx, visit.answer, err, canPush)
}
