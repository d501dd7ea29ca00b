package repo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Recover finishes what a crash cut short: half-made and half-deleted
// repositories, lock and temporary files of dead git processes. It is called
// once at start, before anything else uses the repositories; the data
// directory's lock makes sure that no other server does.
func (r *Repos) Recover(ctx context.Context) error {
	entries, err := os.ReadDir(filepath.Join(r.root, "tmp"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(r.root, "tmp", e.Name())
		if id, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".git"), "delete-"); ok {
			// The folder was taken away, so the delete was meant: finish it.
			if err := r.forgetRow(ctx, id); err != nil {
				return err
			}
		}
		if id, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), ".git"), reformatPrefix); ok && !r.Exists(id) {
			// Its successor was not made: the empty one goes back, and the
			// next sync finds the other object format again.
			if err := rename(path, r.Path(id)); err != nil {
				return fmt.Errorf("recover repository %s: %w", id, err)
			}
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("clean tmp: %w", err)
		}
	}
	ids, err := r.store.FolderIDs(ctx)
	if err != nil {
		return err
	}
	known := make(map[string]bool, len(ids))
	// Several at a time: with thousands of repositories on a cold disk this is
	// most of the time of a start.
	var cleaning errgroup.Group
	cleaning.SetLimit(4 * runtime.GOMAXPROCS(0))
	for _, id := range ids {
		known[id] = true
		cleaning.Go(func() error {
			if err := r.cleanStale(id); err != nil {
				// One repository that cannot be cleaned keeps none of the others from
				// being served. What is wrong with it is found by core/rebuild.
				r.log.Error("a repository could not be cleaned of what a killed git left", "repo_id", id, "error", err)
			}
			if what, err := r.Absent(id); what != "" || err != nil {
				return ctx.Err() // core/rebuild says so
			}
			if err := r.point.ComeForward(ctx, id); err != nil {
				return fmt.Errorf("recover repository %s: %w", id, err)
			}
			if err := r.unpin(ctx, id); err != nil {
				// They keep objects from being forgotten until the next purge, and harm nobody.
				r.log.Error("what a killed purge kept cannot be let go", "repo_id", id, "error", err)
			}
			return ctx.Err()
		})
	}
	if err := cleaning.Wait(); err != nil {
		return err
	}
	return r.orphans(known)
}

// orphans removes folders that no repository of the store names, if they are
// empty: those are creations cut short before the store had them. One
// with content is kept and reported: the store may be the wrong one.
func (r *Repos) orphans(known map[string]bool) error {
	found, err := folders(r.root)
	if err != nil {
		return err
	}
	for _, dir := range found {
		id := strings.TrimSuffix(filepath.Base(dir), ".git")
		if known[id] {
			continue
		}
		if hasContent(dir) {
			r.log.Warn("a repository folder has content but is not in the store; it is left alone", "path", dir)
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// globIn returns the paths below dir that match the pattern. The path of dir is
// taken as it is: [filepath.Glob] would read a "[" in the data directory's own
// name as a pattern and find nothing.
func globIn(dir, pattern string) ([]string, error) {
	found, err := fs.Glob(os.DirFS(dir), pattern)
	for i, name := range found {
		found[i] = filepath.Join(dir, name)
	}
	return found, err
}

func hasFiles(dir string) bool {
	found := errors.New("found")
	return errors.Is(filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			return found
		}
		return err
	}), found)
}

// cleanStale removes what killed git processes leave: lock files, which would
// make every later update of a ref fail, and temporary packs and quarantines,
// which would only fill the disk.
func (r *Repos) cleanStale(id string) error {
	dir := r.Path(id)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		r.log.Error("a repository of the store has no folder on disk", "repo_id", id, "path", dir)
		return nil
	}
	for _, pattern := range []string{
		"*.lock", "packed-refs.new", "gc.pid", "objects/tmp_objdir-*", "objects/pack/tmp_*", "objects/pack/.tmp-*",
		"objects/pack/*.lock", "objects/[0-9a-f][0-9a-f]/tmp_obj_*", "objects/info/*.lock", "objects/info/commit-graphs/*.lock", "objects/info/commit-graphs/tmp_*",
	} {
		stale, err := globIn(dir, pattern)
		if err != nil {
			return err
		}
		for _, path := range stale {
			r.log.Info("removing what a killed git left", "repo_id", id, "file", strings.TrimPrefix(path, dir))
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	if err := r.cleanKeeps(id, dir, "fetch-pack ", "receive-pack "); err != nil {
		return err
	}
	return filepath.WalkDir(filepath.Join(dir, "refs"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the folder itself is missing: see Absent
		}
		if err != nil || d.IsDir() {
			return err
		}
		if !strings.HasSuffix(path, ".lock") {
			// A power cut can leave a ref that was not flushed without its
			// content. Git would neither read nor replace it.
			if info, err := d.Info(); err != nil || info.Size() > 0 {
				return err
			}
		}
		r.log.Info("removing what a killed git left", "repo_id", id, "file", strings.TrimPrefix(path, dir))
		return os.Remove(path)
	})
}

// cleanKeeps removes the marks with which a fetch or push keeps its new pack
// from repacking until its refs are written. Left behind, they would do so for
// ever. The first word in them is one of those given; marks of people have others.
func (r *Repos) cleanKeeps(id, dir string, first ...string) error {
	keeps, err := globIn(dir, "objects/pack/*.keep")
	if err != nil {
		return err
	}
	for _, path := range keeps {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(first, func(word string) bool { return strings.HasPrefix(string(text), word) }) {
			continue
		}
		r.log.Info("removing what a killed git left", "repo_id", id, "file", strings.TrimPrefix(path, dir))
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}
