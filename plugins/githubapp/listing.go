package githubapp

import (
	"context"
	"time"

	api "github.com/google/go-github/v62/github"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/plugins/internal/github"
	"github.com/headwater-git/headwater/providers"
)

var _ providers.RepositoryLister = (*Provider)(nil)

// ListRepositories implements [providers.RepositoryLister]: the repositories that
// the App's installation at an organisation or a user includes.
//
// Errors: besides those of the host, [providers.CodeInvalidConfig] without an App,
// and [providers.CodeRevoked] where it is not installed or suspended.
func (p *Provider) ListRepositories(ctx context.Context, r providers.ListRequest) (providers.RepositoryPage, error) {
	if err := ctx.Err(); err != nil {
		return providers.RepositoryPage{}, err
	}
	app, config, err := p.ready()
	if err != nil {
		return providers.RepositoryPage{}, err
	}
	place, err := github.OwnerPlace(p.Manifest(), config, r.Host, r.Owner)
	if err != nil {
		return providers.RepositoryPage{}, err
	}
	page, err := github.Page(r.Cursor)
	if err != nil {
		return providers.RepositoryPage{}, err
	}
	token, err := p.listingToken(ctx, app, place)
	if err != nil {
		return providers.RepositoryPage{}, err
	}
	reader, err := github.Client(p.HTTPClient(place.Policy), place)
	if err != nil {
		return providers.RepositoryPage{}, err
	}
	begin := time.Now()
	list, response, err := reader.WithAuthToken(token.secret.Reveal()).Apps.ListRepos(ctx, &page)
	if err != nil {
		answer := github.Answer(response, begin)
		if err = github.Error(ctx, place, answer, err, token.secret); providers.CodeOf(err) == providers.CodeUnauthenticated {
			p.forget(listingKey(place))
		}
		return providers.RepositoryPage{}, err
	}
	return github.Listed(p.Manifest(), config, place, list.Repositories, response.NextPage, true), nil
}

// listingKey is the key of the token that lists the repositories of an owner.
func listingKey(place forge.Place) tokenKey {
	return tokenKey{host: place.Host, path: place.Owner + "/"}
}

// listingToken returns a token of the owner's installation that sees all it includes
// and can read nothing of their content.
func (p *Provider) listingToken(ctx context.Context, a *app, place forge.Place) (installationToken, error) {
	key := listingKey(place)
	if token, ok := p.cached(key, 0); ok {
		return token, nil
	}
	s, err := a.session(p.HTTPClient(place.Policy), place)
	if err != nil {
		return installationToken{}, err
	}
	at, err := s.installationOf(ctx)
	if err != nil {
		return installationToken{}, err
	}
	if at.SuspendedAt != nil {
		return installationToken{}, s.suspended(at)
	}
	begin := time.Now()
	made, response, err := s.api.Apps.CreateInstallationToken(ctx, at.GetID(), &api.InstallationTokenOptions{
		Permissions: &api.InstallationPermissions{Metadata: api.String("read")},
	})
	if err != nil {
		answer := github.Answer(response, begin)
		return installationToken{}, s.explain(github.Error(ctx, place, answer, err, s.signed), answer)
	}
	token := installationToken{secret: providers.Secret(made.GetToken()), expires: made.GetExpiresAt().Time}
	p.keep(key, token)
	return token, nil
}

// installationOf finds the installation of an owner, who may be an organisation or
// a user.
func (s session) installationOf(ctx context.Context) (*api.Installation, error) {
	ways := []lookup{
		func() (*api.Installation, *api.Response, error) {
			return s.api.Apps.FindOrganizationInstallation(ctx, s.place.Owner)
		},
		func() (*api.Installation, *api.Response, error) {
			return s.api.Apps.FindUserInstallation(ctx, s.place.Owner)
		},
	}
	if s.installation != 0 {
		ways = []lookup{func() (*api.Installation, *api.Response, error) {
			return s.api.Apps.GetInstallation(ctx, s.installation)
		}}
	}
	for _, ask := range ways {
		at, answer, err := s.ask(ctx, ask)
		switch {
		case err == nil:
			return at, nil
		case !elsewhere(err):
			return nil, s.explain(err, answer)
		}
	}
	return nil, &providers.Error{
		Code: providers.CodeRevoked, Reason: providers.ReasonUninstalled,
		Message: "the GitHub App is not installed on " + s.place.Owner + ": install it there, on all repositories or those that are to be mirrored",
	}
}
