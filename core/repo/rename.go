package repo

import (
	"context"

	"github.com/headwater-git/headwater/core"
)

// renamedBody is the body of an [core.EventRepositoryRenamed].
type renamedBody struct {
	FormerName string `json:"former_name"`
}

// Rename gives a repository another name and returns it. The former name goes on
// leading to it until another repository has that name. Nothing moves on the disk.
// KindInvalid: no name for a repository. KindConflict: the name is taken, or another
// repository had it.
func (r *Repos) Rename(ctx context.Context, at core.Repository, name string) (renamed core.Repository, err error) {
	if err := core.ValidateRepositoryName(name); err != nil {
		return at, err
	}
	err = r.store.Tx(ctx, func(q core.Queries) error {
		// As it is now, for two renames at once.
		before, err := q.RepositoryByID(ctx, at.ID)
		if err != nil {
			return err
		}
		if before.Name == name {
			renamed = before
			return nil
		}
		now := r.clock.Now()
		if err := q.RenameRepository(ctx, at.ID, name, now); err != nil {
			return err
		}
		if renamed, err = q.RepositoryByID(ctx, at.ID); err != nil {
			return err
		}
		e, err := core.RepositoryEvent(renamed, core.EventRepositoryRenamed, renamedBody{before.Name}, now)
		if err != nil {
			return err
		}
		return q.AddEvents(ctx, []core.Event{e})
	})
	if err != nil {
		return at, err
	}
	return renamed, nil
}
