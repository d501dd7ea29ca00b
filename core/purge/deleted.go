package purge

import (
	"context"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// Deleted finds what is to be forgotten in the trash: in repositories that were deleted
// and had the name or the upstream of the one that is purged. They are left as they are,
// since whoever brings one back wants all of it, and the purge says which to remove.
type Deleted struct{ s *Service }

// Deleted returns what looks into the trash.
func (s *Service) Deleted() Deleted { return Deleted{s} }

// Forget implements [forget.Forgetter]. KindConflict: a deleted repository has one of the
// objects.
func (d Deleted) Forget(ctx context.Context, purged core.Repository, ids []core.ObjectID) error {
	all, err := d.s.o.Store.DeletedRepositories(ctx, purged.Org)
	if err != nil || len(ids) == 0 {
		return err
	}
	var found []string
	for _, r := range all {
		if r.Name != purged.Name && !sameUpstream(r, purged) {
			continue
		}
		here, err := d.s.anyHere(ctx, d.s.o.Repos.Path(r.ID), ids)
		if err != nil {
			return err
		}
		if here {
			found = append(found, r.ID)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return core.Errorf(core.KindConflict, "it is also in deleted repositories of the same name or upstream, which can still be brought back: %s; remove each for good with headwater repo delete --now --yes ID",
		strings.Join(found, ", "))
}

func sameUpstream(a, b core.Repository) bool {
	return a.Upstream != nil && b.Upstream != nil && a.Upstream.Instance == b.Upstream.Instance && a.Upstream.URL == b.Upstream.URL
}
