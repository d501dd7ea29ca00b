package githubpublic

import (
	"context"
	"errors"
	"time"

	api "github.com/google/go-github/v62/github"

	"github.com/headwater-git/headwater/plugins/internal/github"
	"github.com/headwater-git/headwater/providers"
)

var _ providers.RepositoryLister = (*Provider)(nil)

// ListRepositories implements [providers.RepositoryLister]: the public
// repositories of an organisation or a user, oldest first.
func (p *Provider) ListRepositories(ctx context.Context, r providers.ListRequest) (providers.RepositoryPage, error) {
	if err := ctx.Err(); err != nil {
		return providers.RepositoryPage{}, err
	}
	config, err := p.Config()
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
	client, err := github.Client(p.HTTPClient(place.Policy), place)
	if err != nil {
		return providers.RepositoryPage{}, err
	}
	begin := time.Now()
	// Organisations are among the users here.
	list, response, err := client.Repositories.ListByUser(ctx, place.Owner, &api.RepositoryListByUserOptions{
		Type: "owner", Sort: "created", Direction: "asc", ListOptions: page,
	})
	if err != nil {
		err = github.Error(ctx, place, github.Answer(response, begin), err)
		var e *providers.Error
		if errors.As(err, &e) && e.Code == providers.CodeNotFound {
			e.Message = place.Host + " has no owner " + place.Owner
		}
		return providers.RepositoryPage{}, err
	}
	return github.Listed(p.Manifest(), config, place, list, response.NextPage, false), nil
}
