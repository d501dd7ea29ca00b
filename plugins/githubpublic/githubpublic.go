// Package githubpublic is the provider of public repositories at GitHub.
package githubpublic

import (
	"context"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/plugins/internal/github"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/sdk"
)

// Provider follows public repositories at GitHub without any credential. They
// are read-only here: nothing is ever pushed upstream. Whether a repository is
// publicly readable is checked when the mirror is made.
//
// The default host is github.com. A GitHub Enterprise server with public
// repositories needs a host block in providers.hcl; its API is expected at
// https://HOST/api/v3 unless api_url says otherwise.
type Provider struct{ *forge.Base }

var _ providers.Provider = (*Provider)(nil)

// New returns the provider, to be configured.
func New() providers.Provider {
	return &Provider{forge.NewBase(github.Manifest(providers.Manifest{
		Name:         "github-public",
		Description:  "Public repositories at GitHub, read-only and without a credential",
		Mode:         providers.ModePublic,
		Capabilities: providers.Capabilities{PushUnsupported: "upstream is read-only in public mode", LFS: true},
	}), sdk.HTTPClient)}
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
	place, err := github.Rules().Place(p.Manifest(), config, r.Locator)
	if err != nil {
		return providers.Remote{}, err
	}
	id, err := github.ParseID(r.Locator.ID)
	if err != nil {
		return providers.Remote{}, err
	}
	if !r.Contact {
		return github.Remote(place, r.Locator.ID, false), nil
	}
	client, err := github.Client(p.HTTPClient(place.Policy), place)
	if err != nil {
		return providers.Remote{}, err
	}
	repository, _, err := github.Repository(ctx, client, place, id)
	// A 401 to somebody without a credential is an Enterprise server that
	// shows nothing to strangers.
	code := providers.CodeOf(err)
	if code == providers.CodeNotFound || code == providers.CodeUnauthenticated || (err == nil && repository.GetPrivate()) {
		return providers.Remote{}, providers.Errorf(providers.CodeNotFound,
			"%s at %s is not publicly readable: it does not exist or is private", place.Path(), place.Host)
	}
	if err != nil {
		return providers.Remote{}, err
	}
	return github.Known(p.Manifest(), config, place, repository, false)
}

// ParseWebhook implements [providers.Provider]. Whoever administers a public
// repository can add a webhook to it by hand.
func (p *Provider) ParseWebhook(ctx context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
	if err := ctx.Err(); err != nil {
		return providers.WebhookResult{}, err
	}
	return github.ParseWebhook(r)
}

// Credential implements [providers.Provider]: none is needed to fetch, and
// there is none that pushes.
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
	if _, err := github.Rules().PlaceOf(p.Manifest(), config, r.Remote); err != nil {
		return providers.Credential{}, err
	}
	if err := p.CheckPush(r.Operation); err != nil {
		return providers.Credential{}, err
	}
	return providers.Credential{Kind: providers.CredentialNone}, nil
}

// Probe implements [providers.Provider].
func (p *Provider) Probe(ctx context.Context, r providers.ProbeRequest) (providers.ProbeResult, error) {
	if err := ctx.Err(); err != nil {
		return providers.ProbeResult{}, err
	}
	config, err := p.Config()
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
	client, err := github.Client(p.HTTPClient(place.Policy), place)
	if err != nil {
		return providers.ProbeResult{}, err
	}
	_, answer, err := github.Repository(ctx, client, place, id)
	return forge.Probed(ctx, answer, err, false)
}
