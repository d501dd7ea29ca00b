package repo

import (
	"context"

	"github.com/headwater-git/headwater/core"
)

// Owner returns what tells which of the updated refs the upstream of the
// repository owns. The settings are read only if that depends on them.
func (r *Repos) Owner(ctx context.Context, repo core.Repository, ns core.Namespace, updates []core.RefUpdate) (func(ref string) bool, error) {
	if repo.Upstream == nil {
		return func(string) bool { return false }, nil
	}
	for _, u := range updates {
		if core.UpstreamOwned(ns, u.Name) || core.OursAlone(ns, u.Name) {
			continue
		}
		rules, err := r.Rules(ctx, repo)
		if err != nil {
			return nil, err
		}
		return rules.Owns, nil
	}
	return func(ref string) bool { return core.UpstreamOwned(ns, ref) }, nil
}
