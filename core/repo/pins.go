package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// pinPrefix holds the pins of [Repos.Pin]. It is internal: never advertised, never
// pushed.
const pinPrefix = core.InternalPrefix + "pinned/"

// Pin makes hidden refs at objects that must outlive a purge although no ref leads
// to them yet, in place of the pins of before: those that a purge left behind which
// its process did not survive. Without ids it removes them.
func (r *Repos) Pin(ctx context.Context, id string, ids []core.ObjectID) error {
	unlock, err := r.locks.LockWrite(ctx, id)
	if err != nil {
		return fmt.Errorf("wait for the write lock: %w", err)
	}
	defer unlock()
	old, err := r.git.RefMap(ctx, r.Path(id), pinPrefix)
	if err != nil {
		return err
	}
	c := Change{RepoID: id}
	for name, at := range old {
		c.Deletes = append(c.Deletes, git.RefChange{RefUpdate: core.RefUpdate{Name: name, Old: at}})
	}
	for i, at := range ids {
		c.Sets = append(c.Sets, git.RefChange{RefUpdate: core.RefUpdate{Name: pinPrefix + strconv.Itoa(i), New: at}, Force: true})
	}
	if len(c.Deletes)+len(c.Sets) == 0 {
		return nil
	}
	if err := r.point.Commit(ctx, c); err != nil {
		return fmt.Errorf("pin objects: %w", err)
	}
	return nil
}

// unpin removes the pins of a purge that its process did not survive. They are loose
// refs, since maintenance is kept away while there are any, so that a repository
// without costs no process.
func (r *Repos) unpin(ctx context.Context, id string) error {
	if left, err := os.ReadDir(filepath.Join(r.Path(id), pinPrefix)); errors.Is(err, fs.ErrNotExist) || err == nil && len(left) == 0 {
		return nil
	}
	r.log.Info("removing what a killed purge kept", "repo_id", id)
	return r.Pin(ctx, id, nil)
}
