package purge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
)

// Quarantined forgets in the folders that were moved aside when a repository was
// rebuilt, "quarantine/TIME-ID" below the data directory: refs there that lead to a
// forgotten object go, and with them what no other ref leads to.
type Quarantined struct {
	s    *Service
	root string
}

// Quarantined returns what forgets below a data directory.
func (s *Service) Quarantined(root string) Quarantined { return Quarantined{s, root} }

// Forget implements [forget.Forgetter].
func (q Quarantined) Forget(ctx context.Context, repo core.Repository, ids []core.ObjectID) error {
	names, err := fs.Glob(os.DirFS(q.root), "quarantine/*-"+repo.ID)
	if err != nil {
		return err
	}
	forgotten := make(map[core.ObjectID]bool, len(ids))
	for _, id := range ids {
		forgotten[id] = true
	}
	for _, name := range names {
		dir := filepath.Join(q.root, name)
		if _, err := os.Stat(filepath.Join(dir, "objects")); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := q.clean(ctx, dir, ids, forgotten); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%s is damaged and may hold what is to be forgotten; take from it what you need and remove it: %w", name, err)
		}
	}
	return nil
}

// clean forgets in one folder.
func (q Quarantined) clean(ctx context.Context, dir string, ids []core.ObjectID, forgotten map[core.ObjectID]bool) error {
	if here, err := q.s.anyHere(ctx, dir, ids); err != nil || !here {
		return err
	}
	refs, err := q.s.o.Git.Refs(ctx, dir)
	if err != nil {
		return err
	}
	bad, err := q.leading(ctx, dir, refs, forgotten)
	if err != nil {
		return err
	}
	var drop []git.RefChange
	for _, ref := range bad {
		drop = append(drop, git.RefChange{RefUpdate: core.RefUpdate{Name: ref.Name, Old: ref.ID}})
	}
	if len(drop) > 0 {
		// Nobody is served from here, so this is not a change of a repository's refs.
		if _, err := q.s.o.Git.UpdateRefs(ctx, dir, drop); err != nil {
			return err
		}
	}
	gone, err := q.s.unreachable(ctx, dir)
	if err != nil {
		return err
	}
	if err := git.RemoveCommitGraph(dir); err != nil {
		return err
	}
	return gone.remove()
}

// anyHere reports whether a folder has one of the objects.
func (s *Service) anyHere(ctx context.Context, dir string, ids []core.ObjectID) (bool, error) {
	objects, err := catfile.Open(ctx, s.o.Git, dir)
	if err != nil {
		return false, err
	}
	defer objects.Close() //nolint:errcheck // it was asked all there is
	const batch = 500
	for begin := 0; begin < len(ids); begin += batch {
		var names []string
		for _, id := range ids[begin:min(begin+batch, len(ids))] {
			names = append(names, string(id))
		}
		found, err := objects.Info(ctx, names...)
		if err != nil {
			return false, err
		}
		for _, o := range found {
			if o.Found() {
				return true, nil
			}
		}
	}
	return false, nil
}

// leading returns the refs that lead to a forgotten object, by halves: one walk for all
// of them, and more only where one has found something.
func (q Quarantined) leading(ctx context.Context, dir string, refs []git.Ref, forgotten map[core.ObjectID]bool) ([]git.Ref, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	var in strings.Builder
	for _, ref := range refs {
		in.WriteString(string(ref.ID) + "\n")
	}
	out, err := q.s.o.Git.Stream(ctx, git.Command{
		Name: "rev-list", Dir: dir, Flags: []string{"--objects", "--no-object-names", "--stdin"}, Stdin: strings.NewReader(in.String()),
	})
	if err != nil {
		return nil, err
	}
	defer out.Close() //nolint:errcheck // read to its end, or of no use
	found := false
	if err := eachID(out, func(id core.ObjectID) { found = found || forgotten[id] }); err != nil {
		return nil, err
	}
	if err := out.Wait(); err != nil || !found {
		return nil, err
	}
	if len(refs) == 1 {
		return refs, nil
	}
	first, err := q.leading(ctx, dir, refs[:len(refs)/2], forgotten)
	if err != nil {
		return nil, err
	}
	rest, err := q.leading(ctx, dir, refs[len(refs)/2:], forgotten)
	return append(first, rest...), err
}
