package mirror

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/core/git"
)

// ErrForgotten is the cause of a failure of [Mirror.FetchObject] that no later try ends.
var ErrForgotten = errors.New("forgotten here on purpose")

// FetchObject fetches one object with its history by its id, for callers that
// want a commit which is on no ref any more. No ref is made: like every object
// without one it stays for at least the two weeks of grace that maintenance
// gives. Hosts refuse ids that they do not have or do not serve; the error has
// their words. KindNotFound with [ErrForgotten]: it leads to something that was forgotten,
// and so it was not taken.
func (m *Mirror) FetchObject(ctx context.Context, r core.Repository, id core.ObjectID) error {
	if !id.Valid() {
		return core.Errorf(core.KindInvalid, "%q is not an object id", id)
	}
	ctx, done, err := m.repos.Writing(ctx, r.ID)
	if err != nil {
		return err
	}
	defer done()
	forgotten, err := m.store.AnyForgotten(ctx, r.ID)
	if err != nil {
		return err
	}
	if forgotten {
		return m.fetchApart(ctx, r, id)
	}
	if err := m.gitFetch(ctx, r, []string{string(id)}, git.Command{}); err != nil {
		return fmt.Errorf("fetch object %s: %w", id, err)
	}
	return nil
}

// fetchApart fetches an object into a folder of its own, and takes it over if nothing
// that it brings was forgotten.
func (m *Mirror) fetchApart(ctx context.Context, r core.Repository, id core.ObjectID) (err error) {
	apart, err := os.MkdirTemp(m.repos.TempDir(), "fetch-object-")
	if err != nil {
		return fmt.Errorf("fetch object %s: %w", id, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(apart)) }()
	objects := filepath.Join(m.repos.Path(r.ID), "objects")
	env := []string{"GIT_OBJECT_DIRECTORY=" + apart, "GIT_ALTERNATE_OBJECT_DIRECTORIES=" + objects}
	if err := m.gitFetch(ctx, r, []string{string(id)}, git.Command{Env: env}); err != nil {
		return fmt.Errorf("fetch object %s: %w", id, err)
	}
	brought, err := m.beyondRefs(ctx, r, id, env)
	if err != nil {
		return fmt.Errorf("look at object %s: %w", id, err)
	}
	found, err := m.store.Forgotten(ctx, r.ID, brought)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		err := core.Errorf(core.KindNotFound, "object %s leads to %s, which was forgotten here on purpose", id, found[0])
		err.Err = ErrForgotten
		return err
	}
	return install(apart, objects)
}

// beyondRefs lists what an object leads to and no ref does.
func (m *Mirror) beyondRefs(ctx context.Context, r core.Repository, id core.ObjectID, env []string) (ids []core.ObjectID, err error) {
	out, err := m.git.Stream(ctx, git.Command{
		Name: "rev-list", Dir: m.repos.Path(r.ID), Env: env,
		// The second --not ends the first.
		Flags: []string{"--objects", "--no-object-names", "--not", "--all", "--not"}, Args: []string{string(id)},
	})
	if err != nil {
		return nil, err
	}
	defer out.Close() //nolint:errcheck // read to its end, or of no use
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		ids = append(ids, core.ObjectID(lines.Text()))
	}
	return ids, errors.Join(lines.Err(), out.Wait())
}

// install moves objects, which git has flushed, to those of a repository.
func install(from, to string) error {
	folders, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, folder := range folders {
		if folder.Name() == "info" {
			continue
		}
		src, dst := filepath.Join(from, folder.Name()), filepath.Join(to, folder.Name())
		if err := os.MkdirAll(dst, 0o700); err != nil {
			return err
		}
		files, err := os.ReadDir(src)
		if err != nil {
			return err
		}
		slices.SortFunc(files, func(a, b os.DirEntry) int { return rank(a) - rank(b) })
		for _, f := range files {
			if err := os.Rename(filepath.Join(src, f.Name()), filepath.Join(dst, f.Name())); err != nil {
				return err
			}
		}
		if err := durable.SyncDir(dst); err != nil {
			return err
		}
	}
	return durable.SyncDir(to)
}

// rank puts the index of a pack last: git looks for packs by it.
func rank(f os.DirEntry) int {
	if filepath.Ext(f.Name()) == ".idx" {
		return 1
	}
	return 0
}
