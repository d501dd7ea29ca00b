package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/headwater-git/headwater/core"
)

// Delete removes a repository: first out of sight, then from the store, then
// from the disk. A crash in between is finished by [Repos.Recover].
func (r *Repos) Delete(ctx context.Context, id string) error {
	// A backup copies the refs of all repositories as of one moment: none goes meanwhile.
	unlock, err := r.locks.LockWrite(ctx, id)
	if err != nil {
		return fmt.Errorf("delete repository: %w", err)
	}
	defer unlock()
	return r.remove(ctx, id)
}

// remove is Delete for who holds the write lock.
func (r *Repos) remove(ctx context.Context, id string) error {
	away := filepath.Join(r.root, "tmp", "delete-"+id+".git")
	if err := rename(r.Path(id), away); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete repository: %w", err)
	}
	r.fail("delete-moved")
	if err := r.forgetRow(ctx, id); err != nil {
		// Still in the store: bring the folder back rather than leave a name
		// without content.
		return errors.Join(err, rename(away, r.Path(id)))
	}
	r.fail("delete-forgotten")
	if err := os.RemoveAll(away); err != nil {
		r.log.Warn("deleted repository leaves files behind; the next start removes them", "repo_id", id, "error", err)
	}
	return nil
}

// forgetRow deletes a repository from the store, which may not have it any more. One
// that was in the trash has had its event.
func (r *Repos) forgetRow(ctx context.Context, id string) error {
	return r.store.Tx(ctx, func(q core.Queries) error {
		found, err := q.RepositoryByID(ctx, id)
		if err == nil {
			err = r.deleted(ctx, q, found, time.Time{})
		}
		if err != nil && core.KindOf(err) != core.KindNotFound {
			return err
		}
		if err := q.DeleteRepository(ctx, id); err != nil && core.KindOf(err) != core.KindNotFound {
			return err
		}
		return nil
	})
}

// deletedBody is the body of an [core.EventRepositoryDeleted].
type deletedBody struct {
	KeptUntil *core.Timestamp `json:"kept_until,omitempty"`
}

// deleted adds the event of a deletion.
func (r *Repos) deleted(ctx context.Context, q core.Queries, gone core.Repository, until time.Time) error {
	var body deletedBody
	if !until.IsZero() {
		body.KeptUntil = new(core.Timestamp(until))
	}
	e, err := core.RepositoryEvent(gone, core.EventRepositoryDeleted, body, r.clock.Now())
	if err != nil {
		return err
	}
	return q.AddEvents(ctx, []core.Event{e})
}

// Trash moves a repository into the trash until a time. Nothing moves on the disk: only
// the store knows what is in the trash, so that no crash finds half of it. What reads the
// folder at that moment ends as if nothing had happened; no ref moves after it, but for
// what a write session has sent to the upstream before.
func (r *Repos) Trash(ctx context.Context, gone core.Repository, until time.Time) error {
	unlock, err := r.locks.LockWrite(ctx, gone.ID)
	if err != nil {
		return fmt.Errorf("delete repository: %w", err)
	}
	defer unlock()
	return r.store.Tx(ctx, func(q core.Queries) error {
		if err := q.TrashRepository(ctx, gone.ID, r.clock.Now(), until); err != nil {
			return err
		}
		return r.deleted(ctx, q, gone, until)
	})
}

// Undelete takes a repository out of the trash, under a name, and returns it.
// KindConflict: the name is taken. KindNotFound: it is not in the trash any more.
func (r *Repos) Undelete(ctx context.Context, gone core.Repository, name string) (back core.Repository, err error) {
	unlock, err := r.locks.LockWrite(ctx, gone.ID)
	if err != nil {
		return back, fmt.Errorf("undelete repository: %w", err)
	}
	defer unlock()
	err = r.store.Tx(ctx, func(q core.Queries) error {
		if err := q.UndeleteRepository(ctx, gone.ID, name); err != nil {
			return err
		}
		if back, err = q.RepositoryByID(ctx, gone.ID); err != nil {
			return err
		}
		e, err := core.RepositoryEvent(back, core.EventRepositoryUndeleted, nil, r.clock.Now())
		if err != nil {
			return err
		}
		return q.AddEvents(ctx, []core.Event{e})
	})
	return back, err
}

// Purge removes a repository from the trash, with its folder. KindNotFound: it is not in
// the trash any more; then nothing was done.
func (r *Repos) Purge(ctx context.Context, id string) error {
	unlock, err := r.locks.LockWrite(ctx, id)
	if err != nil {
		return fmt.Errorf("remove deleted repository: %w", err)
	}
	defer unlock()
	// Under the lock: it may have been undeleted a moment ago.
	if _, err := r.store.DeletedRepositoryByID(ctx, id); err != nil {
		return err
	}
	return r.remove(ctx, id)
}
