package push

import (
	"context"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/repo"
)

// preflight refuses the updates that git would not do: stale old ids, name
// conflicts, missing objects, held locks. Git names one failure of a transaction, so
// that one is what all have to be looked through for, in one go; and what are many
// are not tried first, since git makes a file for each of them.
func (s *Service) preflight(ctx context.Context, w Session, b *results) error {
	dir := s.repos.Path(w.Repo.ID)
	for len(b.open) > 0 {
		idx := b.pending()
		all, deletes, sets := w.changes(idx)
		var tried *git.RefError
		if len(idx) < s.o.ManyRefs {
			// As they will be done: deletes apart from the rest.
			err := s.git.CheckRefs(ctx, dir, deletes, sets)
			if err == nil {
				return nil
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			var ok bool
			if tried, ok = repo.IsRefError(err); !ok {
				return err
			}
		}
		failed, err := s.git.FindRefFailures(ctx, dir, all)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		for at, i := range idx {
			if re := failed[at]; re != nil && b.open[i] {
				s.refuseRef(ctx, w, b, i, re)
			}
		}
		switch {
		case tried == nil:
			return nil
		case len(failed) > 0:
		case tried.Kind == git.RefConflict && len(deletes) > 0:
			// With a name that a delete of the same session takes away first.
			return nil
		default:
			i := b.find(w.Namespace, tried.Ref)
			if i < 0 {
				b.refuseAll(tried.Kind.Kind(), tried.Kind.Reason())
				return nil
			}
			s.refuseRef(ctx, w, b, i, tried)
		}
	}
	return nil
}

// changes returns the updates at idx by their names on disk: all, and apart.
func (w Session) changes(idx []int) (all, deletes, sets []git.RefChange) {
	for _, i := range idx {
		u := w.Updates[i]
		c := git.RefChange{RefUpdate: core.RefUpdate{Name: w.Namespace.Path(u.Name), Old: u.Old, New: u.New}}
		all = append(all, c)
		if u.IsDelete() {
			deletes = append(deletes, c)
		} else {
			sets = append(sets, c)
		}
	}
	return all, deletes, sets
}
