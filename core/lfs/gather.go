package lfs

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/headwater-git/headwater/core"
)

// Gather has objects of an upstream here: it asks for all in one batch, and fetches at
// most parallel of them at a time. done is called once for each, side by side; its error
// is KindNotFound if the host says that it does not have the object. The error of Gather
// says that nothing was answered at all, and then done was not called.
func (s *Service) Gather(ctx context.Context, repo core.Repository, objects []Pointer, parallel int, done func(Pointer, error)) error {
	transfers, err := s.ask(ctx, repo, objects)
	if err != nil {
		return err
	}
	var fetches errgroup.Group
	fetches.SetLimit(parallel)
	for i, p := range objects {
		if err := transfers[i].Err; err != nil {
			done(p, err)
			continue
		}
		fetches.Go(func() error {
			done(p, s.Fetch(ctx, repo, p))
			return nil
		})
	}
	return fetches.Wait()
}
