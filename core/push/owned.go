package push

import (
	"context"

	"github.com/headwater-git/headwater/core"
)

// owned returns what tells whether the upstream of a repository owns a ref.
func (s *Service) owned(_ context.Context, _ core.Repository, ns core.Namespace) (func(name string) bool, error) {
	return func(name string) bool { return core.UpstreamOwned(ns, name) }, nil
}
