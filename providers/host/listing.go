package host

import (
	"context"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/v1/wire"
)

// ListRepositories is [providers.RepositoryLister.ListRepositories]. A provider
// that is none answers [providers.CodeUnsupported].
func (i *Instance) ListRepositories(ctx context.Context, r providers.ListRequest) (providers.RepositoryPage, error) {
	return onLatest(i, func(i *Instance) (providers.RepositoryPage, error) {
		i.see(r.Stored)
		page, err := call(ctx, i.super, "ListRepositories", func(ctx context.Context, c *wire.Client) (providers.RepositoryPage, error) {
			return c.ListRepositories(ctx, r)
		})
		return page, i.clean(err)
	})
}
