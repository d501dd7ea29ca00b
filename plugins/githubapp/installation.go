package githubapp

import (
	"context"
	"errors"
	"net/http"
	"time"

	api "github.com/google/go-github/v62/github"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/plugins/internal/github"
	"github.com/headwater-git/headwater/providers"
)

// grant is a token for one repository and the installation that gave it.
type grant struct {
	token        installationToken
	installation *api.Installation
}

// open finds the installation that covers a repository and asks it for a token
// for exactly this repository.
//
// The repository may not be where it was: the installation of its old path may
// be that of another repository, or of the owner that it was transferred from.
// So a way to find it that leads to no token gives way to the next one, and
// only the last refusal is explained.
func (s session) open(ctx context.Context, key tokenKey) (grant, forge.Answer, error) {
	var refused refusal
	var answer forge.Answer
	for _, ask := range s.lookups(ctx, key.id) {
		at, given, err := s.ask(ctx, ask)
		answer = given
		switch {
		case err != nil && !elsewhere(err):
			return grant{}, answer, s.explain(err, answer)
		case err != nil && refused.at == nil:
			refused.err = err
			continue
		case err != nil, refused.at != nil && refused.at.GetID() == at.GetID():
			continue // the refusal of an installation says more
		}
		token, err := s.mint(ctx, at, key)
		if err == nil {
			return grant{token: token, installation: at}, answer, nil
		}
		if !elsewhere(err) {
			return grant{}, answer, err
		}
		refused = refusal{err: err, at: at}
	}
	opened, err := s.diagnose(ctx, key, refused)
	return opened, answer, err
}

// lookup is one way to ask for an installation.
type lookup func() (*api.Installation, *api.Response, error)

// lookups returns the ways to find the installation, best first; the next is
// for a repository that is not where it was.
func (s session) lookups(ctx context.Context, id int64) []lookup {
	if s.installation != 0 {
		return []lookup{func() (*api.Installation, *api.Response, error) {
			return s.api.Apps.GetInstallation(ctx, s.installation)
		}}
	}
	ways := []lookup{func() (*api.Installation, *api.Response, error) {
		return s.api.Apps.FindRepositoryInstallation(ctx, s.place.Owner, s.place.Name)
	}}
	if id != 0 {
		// GitHub redirects to this route but does not document it, so it
		// comes last.
		ways = append(ways, func() (*api.Installation, *api.Response, error) {
			return s.api.Apps.FindRepositoryInstallationByID(ctx, id)
		})
	}
	return ways
}

// ask asks for an installation in one way.
func (s session) ask(ctx context.Context, ask lookup) (*api.Installation, forge.Answer, error) {
	begin := time.Now()
	found, response, err := ask()
	answer := github.Answer(response, begin)
	if err != nil {
		return nil, answer, github.Error(ctx, s.place, answer, err, s.signed)
	}
	return found, answer, nil
}

// elsewhere reports whether an error leaves the hope that the repository is
// open in another place: nothing is there, it has moved, the installation there
// does not have it, or is suspended.
func elsewhere(err error) bool {
	var e *providers.Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Code == providers.CodeNotFound || e.HTTPStatus/100 == 3 ||
		e.Reason == providers.ReasonNotIncluded || e.Reason == providers.ReasonSuspended
}

// mint asks an installation for a token for exactly one repository. Errors:
// besides those of the host, [providers.CodeRevoked] with
// [providers.ReasonSuspended], [providers.CodePermissionDenied] when the
// permissions do not suffice, and [providers.ReasonNotIncluded] when the
// installation does not have the repository, for whatever reason.
func (s session) mint(ctx context.Context, at *api.Installation, key tokenKey) (installationToken, error) {
	if at.SuspendedAt != nil {
		return installationToken{}, s.suspended(at)
	}
	granted := at.GetPermissions()
	contents := granted.GetContents()
	switch {
	case granted == nil || contents == "write": // an old host does not say
	case key.push:
		return installationToken{}, s.lacks("push to", "Contents: read and write")
	case contents != "read":
		return installationToken{}, s.lacks("read", "Contents: read and write, or read-only")
	}
	options := &api.InstallationTokenOptions{
		Permissions: &api.InstallationPermissions{Contents: api.String("read"), Metadata: api.String("read")},
	}
	if key.push {
		options.Permissions.Contents = api.String("write")
		// Asking for more than is granted fails, and without it only pushes
		// that touch workflow files do.
		if granted.GetWorkflows() == "write" {
			options.Permissions.Workflows = api.String("write")
		}
	}
	if key.id != 0 {
		options.RepositoryIDs = []int64{key.id}
	} else {
		options.Repositories = []string{s.place.Name}
	}
	begin := time.Now()
	made, response, err := s.api.Apps.CreateInstallationToken(ctx, at.GetID(), options)
	if err != nil {
		answer := github.Answer(response, begin)
		err = github.Error(ctx, s.place, answer, err, s.signed)
		if answer.Status == http.StatusUnprocessableEntity {
			return installationToken{}, &providers.Error{
				Code: providers.CodePermissionDenied, Reason: providers.ReasonNotIncluded, HTTPStatus: answer.Status,
				Message: err.Error(),
			}
		}
		return installationToken{}, s.explain(err, answer)
	}
	return installationToken{secret: providers.Secret(made.GetToken()), expires: made.GetExpiresAt().Time}, nil
}

// lacks explains that a permission of the App does not suffice.
func (s session) lacks(verb, permission string) error {
	return providers.Errorf(providers.CodePermissionDenied,
		"the GitHub App may not %s %s: give it the repository permission %s, and accept that on %s",
		verb, s.place.Path(), permission, s.place.Owner)
}

// visit is what the App sees of a repository.
type visit struct {
	repository *api.Repository
	mayPush    bool
	answer     forge.Answer
}

// errNoToken is returned by glance where there is no token to look with.
var errNoToken = errors.New("no token is at hand that would tell")

// glance asks the host about a repository with a token that is at hand already:
// one request, where the way through the installation takes three. The server
// asks before writes, so that matters.
func (p *Provider) glance(ctx context.Context, place forge.Place, id int64) (*api.Repository, error) {
	if id == 0 {
		return nil, errNoToken // its path alone may lead to another repository
	}
	key := tokenKey{host: place.Host, path: place.Path(), id: id}
	token, ok := p.cached(key, 0)
	if !ok {
		key.push = true
		if token, ok = p.cached(key, 0); !ok {
			return nil, errNoToken
		}
	}
	reader, err := github.Client(p.HTTPClient(place.Policy), place)
	if err != nil {
		return nil, err
	}
	repository, _, err := github.Repository(ctx, reader.WithAuthToken(token.secret.Reveal()), place, id, token.secret)
	if err == nil && !repository.GetPrivate() {
		// Anybody may see it: that says nothing of the installation.
		return nil, errNoToken
	}
	return repository, err
}

// visit asks the host about a repository, through the installation. The token
// that this takes is kept.
func (p *Provider) visit(ctx context.Context, a *app, place forge.Place, id int64) (visit, error) {
	httpClient := p.HTTPClient(place.Policy)
	s, err := a.session(httpClient, place)
	if err != nil {
		return visit{}, err
	}
	opened, answer, err := s.open(ctx, tokenKey{id: id})
	if err != nil {
		return visit{answer: answer}, err
	}
	reader, err := github.Client(httpClient, place)
	if err != nil {
		return visit{}, err
	}
	if id != 0 {
		p.keep(tokenKey{host: place.Host, path: place.Path(), id: id}, opened.token)
	}
	secret := opened.token.secret
	repository, answer, err := github.Repository(ctx, reader.WithAuthToken(secret.Reveal()), place, id, secret)
	return visit{
		repository: repository,
		mayPush:    opened.installation.GetPermissions().GetContents() == "write",
		answer:     answer,
	}, err
}
