package mirror

import (
	"context"
	"slices"

	"github.com/headwater-git/headwater/core"
)

// LFS knows which LFS objects of a mirror are here.
type LFS interface {
	// Lacks reports whether objects of the tree of a commit, or of a tag of one, are not
	// here that the upstream may have, and has them fetched.
	Lacks(ctx context.Context, r core.Repository, tip core.ObjectID) (bool, error)
}

// holdLFS takes the updates out of the difference whose new tips lack LFS objects, where
// the settings hold them, and reports whether there are any.
func (x *run) holdLFS(ctx context.Context, d *difference) (awaiting bool, err error) {
	if x.lfs == nil || !x.scope.rules.HoldsLFS() {
		return false, nil
	}
	d.updates = slices.DeleteFunc(d.updates, func(u core.RefUpdate) bool {
		if err != nil || u.IsDelete() || !x.scope.rules.Owns(u.Name) || !x.scope.mirrors(u.Name) {
			return false
		}
		var lacks bool
		if lacks, err = x.lfs.Lacks(ctx, x.repo, u.New); err != nil || !lacks {
			return false
		}
		d.held = append(d.held, heldRef{RefUpdate: u, state: core.RewriteHeld, lfs: true})
		d.uncount(u)
		awaiting = true
		return true
	})
	return awaiting, err
}

// follows reports whether the difference moves the ref of a row to where that says.
func (d difference) follows(row core.Rewrite) bool {
	return slices.ContainsFunc(d.updates, func(u core.RefUpdate) bool { return u.Name == row.Ref && u.New == row.New })
}

// awaitsLFS reports whether one of the held refs waits for LFS objects.
func awaitsLFS(held map[string]core.Rewrite) bool {
	for _, row := range held {
		if row.AwaitsLFS {
			return true
		}
	}
	return false
}

// dropArrived takes the rows out of held whose refs need not wait for LFS objects any more.
func (m *Mirror) dropArrived(ctx context.Context, r core.Repository, held map[string]core.Rewrite) error {
	for ref, row := range held {
		if !row.AwaitsLFS {
			continue
		}
		if m.lfs == nil {
			delete(held, ref)
			continue
		}
		lacks, err := m.lfs.Lacks(ctx, r, row.New)
		if err != nil {
			return err
		}
		if !lacks {
			delete(held, ref)
		}
	}
	return nil
}
