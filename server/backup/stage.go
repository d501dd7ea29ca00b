package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/store"
)

// locks are what is held while a backup is taken; a stopped server holds none.
type locks interface {
	freeze(ctx context.Context) (map[string]bool, error)
	thaw(ctx context.Context) error
	close() error
}

// stopped stands for the locks of a server that does not run.
type stopped struct{}

func (stopped) freeze(context.Context) (map[string]bool, error) { return nil, nil }

func (stopped) thaw(context.Context) error { return nil }

func (stopped) close() error { return nil }

// take links refs and objects aside and copies the database, all as of one moment.
func (w *writing) take(ctx context.Context) error {
	for range freezeTries {
		again, err := w.try(ctx)
		if err != nil || !again {
			return err
		}
	}
	return fmt.Errorf("repositories are made faster than a backup can begin; try again later")
}

func (w *writing) try(ctx context.Context) (again bool, err error) {
	var hold locks = stopped{}
	if !w.Stopped {
		if hold, err = reach(ctx, w.DataDir); err != nil {
			return false, err
		}
	}
	closed := false
	defer func() {
		if !closed {
			err = errors.Join(err, hold.close())
		}
	}()
	held, err := hold.freeze(ctx)
	if err != nil {
		return false, err
	}
	w.at = w.Now().UTC()
	snapshot, err := store.OpenSnapshot(ctx, filepath.Join(w.DataDir, databaseFile))
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	if w.repos, err = snapshot.Repositories(ctx); err != nil {
		return false, err
	}
	for _, r := range w.repos {
		if !w.Stopped && !held[r.ID] {
			return true, nil // made since the server listed what to hold
		}
	}
	for _, r := range w.repos {
		if err := w.stageRefs(r.ID); err != nil {
			return false, fmt.Errorf("link the refs of repository %s: %w", r.ID, err)
		}
	}
	if err := hold.thaw(ctx); err != nil {
		return false, err
	}
	w.held = w.Now().Sub(w.at)
	if err := w.choose(); err != nil {
		return false, err
	}
	for id := range w.reasons {
		err := linkObjects(repo.PathIn(w.DataDir, id), filepath.Join(w.stage, id))
		if errors.Is(err, fs.ErrNotExist) {
			w.gone = append(w.gone, id) // deleted since the moment
			continue
		}
		if err != nil {
			return false, fmt.Errorf("link the objects of repository %s: %w", id, err)
		}
	}
	if err := w.linkLFS(ctx, snapshot); err != nil {
		return false, fmt.Errorf("link LFS objects: %w", err)
	}
	// Maintenance may go on: all that it could take away is linked.
	closed = true
	if err := hold.close(); err != nil {
		return false, err
	}
	return false, snapshot.WriteTo(ctx, filepath.Join(w.dir, databaseFile))
}

// stageRefs links the refs of a repository, if it has a folder.
func (w *writing) stageRefs(id string) error {
	from, to := repo.PathIn(w.DataDir, id), filepath.Join(w.stage, id)
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	return linkRefs(from, to)
}
