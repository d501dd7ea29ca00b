package repo

import (
	"context"
	"fmt"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// MoveTracking moves tracking refs to what a listing of the upstream says, under
// the write lock. Together with [Repos.Transact], which takes the tracking refs of a
// push along, it is the one way that they move here; git fetch brings the others
// with their objects. bulk says that there are very many and nobody reads the
// repository yet. Errors: a [*git.RefError], after which nothing has moved;
// KindInternal for a ref that is not a tracking ref.
func (r *Repos) MoveTracking(ctx context.Context, id string, changes []git.RefChange, bulk bool) error {
	if len(changes) == 0 {
		return nil
	}
	c := Change{RepoID: id, Bulk: bulk}
	for _, ch := range changes {
		if !strings.HasPrefix(ch.Name, core.TrackingPrefix) {
			return core.Errorf(core.KindInternal, "%s is not a tracking ref", ch.Name)
		}
		if ch.IsDelete() {
			c.Deletes = append(c.Deletes, ch)
		} else {
			c.Sets = append(c.Sets, ch)
		}
	}
	unlock, err := r.locks.LockWrite(ctx, id)
	if err != nil {
		return fmt.Errorf("wait for the write lock: %w", err)
	}
	defer unlock()
	return r.point.Commit(ctx, c)
}
