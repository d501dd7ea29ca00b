package commit

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/content"
	"github.com/headwater-git/headwater/core/limit"
)

// File is one change of a commit.
type File struct {
	Path    string
	Delete  bool   // of a file, or of a folder with all that is in it
	Mode    string // "" is 100644; 160000 has the id of a commit as content
	Content string // which content; may be "" for a deletion
}

// checkFiles returns the files with clean paths and modes. Errors: KindInvalid.
func checkFiles(files []File) ([]File, error) {
	if len(files) == 0 {
		return nil, core.Errorf(core.KindInvalid, "no changes: the request names no files")
	}
	clean := make([]File, len(files))
	for i, f := range files {
		var err error
		if f.Delete {
			// What is there may go, even with a name that may not be written.
			f.Path = strings.TrimPrefix(f.Path, "/")
			err = content.ValidatePath(f.Path)
		} else {
			f.Path, err = CleanPath(f.Path)
		}
		if err != nil {
			return nil, err
		}
		if !f.Delete {
			if f.Mode, err = checkMode(f.Mode); err != nil {
				return nil, err
			}
			if f.Content == "" {
				return nil, core.Errorf(core.KindInvalid, "file %s has no content_id", quote(f.Path))
			}
		}
		clean[i] = f
	}
	return clean, checkTogether(clean)
}

// checkTogether refuses entries that cannot both be: one path twice, and a path
// below another one, unless that one is deleted first. Which of them a client
// means is not for us to guess. Errors: KindInvalid.
func checkTogether(files []File) error {
	order := make([]int, len(files))
	for i := range order {
		order[i] = i
	}
	// With the slash before all other bytes, what is below a path follows it.
	slices.SortFunc(order, func(a, b int) int { return comparePaths(files[a].Path, files[b].Path) })
	var above []int // entries that the one at hand is below, outermost first
	for _, i := range order {
		path := files[i].Path
		for len(above) > 0 && !isBelow(path, files[above[len(above)-1]].Path) {
			above = above[:len(above)-1]
		}
		for _, j := range above {
			outer := files[j]
			switch {
			case outer.Path == path:
				return core.Errorf(core.KindInvalid, "files names %s twice; send one entry for each path", quote(path))
			case outer.Delete && (files[i].Delete || j < i):
			case files[i].Delete && i < j:
			default:
				return core.Errorf(core.KindInvalid, "files names both %s and %s, which cannot both be; delete the one that is there first, or send one of them",
					quote(outer.Path), quote(path))
			}
		}
		above = append(above, i)
	}
	return nil
}

// comparePaths orders paths by bytes, with the slash before all others.
func comparePaths(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		switch {
		case a[i] == b[i]:
		case a[i] == '/':
			return -1
		case b[i] == '/':
			return 1
		default:
			return cmp.Compare(a[i], b[i])
		}
	}
	return cmp.Compare(len(a), len(b))
}

// isBelow reports whether a path is another one, or below it.
func isBelow(path, other string) bool {
	return strings.HasPrefix(path, other) && (len(path) == len(other) || path[len(other)] == '/')
}

// CommitFiles makes a commit that changes files. The edits are made in
// order; none contradicts another one, and what is in the way of a path goes. Contents are read
// only when nothing speaks against the commit so far.
//
// Errors: KindInvalid for anything wrong with the request, or if it changes
// nothing; and those of the branch: KindNotFound, KindPrecondition,
// KindPermission and what the upstream says. See [TipError].
func (s *Service) CommitFiles(ctx context.Context, c Commit, files []File, chunks Chunks) (Result, error) {
	files, err := checkFiles(files)
	if err != nil {
		return Result{}, err
	}
	if err := s.ready(ctx, &c); err != nil {
		return Result{}, err
	}
	p := s.newPack(c.Repo)
	defer p.close()
	cs := s.newContents(p)
	defer cs.close()
	if c.LFS {
		cs.keep()
	}
	cs.expect(files)
	if err := cs.take(chunks); err != nil {
		return Result{}, err
	}
	var pointers map[int]core.ObjectID
	if c.LFS {
		if pointers, err = s.pointers(ctx, c, p, cs, files); err != nil {
			return Result{}, err
		}
	}
	ids := make([]core.ObjectID, len(files))
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.Path
		switch {
		case f.Delete:
			continue
		case f.Mode == modeGitlink:
			ids[i] = core.ObjectID(cs.links[f.Content])
			if !ids[i].Valid() || ids[i].IsZero() || len(ids[i]) != idDigits(c.Repo) {
				return Result{}, core.Errorf(core.KindInvalid, "the content of %s must be the full id of a commit, for mode 160000", quote(f.Path))
			}
		case pointers[i] != "":
			ids[i] = pointers[i]
		default:
			if ids[i], err = cs.blob(f.Content); err != nil {
				return Result{}, err
			}
		}
		p.checkFile(f.Path, ids[i])
	}
	dir := s.repos.Path(c.Repo.ID)
	if !p.small() && !p.strict {
		// While others may take their turns. What git must check goes to it
		// together with the folder that names it.
		if err := limit.Take(ctx, c.Repo.ID); err != nil {
			return Result{}, err
		}
		writing, done, err := s.repos.Writing(ctx, c.Repo.ID)
		if err != nil {
			return Result{}, err
		}
		defer done()
		ctx = writing
		if err := s.store(ctx, dir, p); err != nil {
			return Result{}, err
		}
	}
	return s.advance(ctx, c, p, func(ctx context.Context, base core.ObjectID) (core.ObjectID, error) {
		e, err := s.edit(ctx, dir, p, base)
		if err != nil {
			return "", err
		}
		if err := e.prefetch(ctx, paths); err != nil {
			return "", err
		}
		for i, f := range files {
			if !f.Delete {
				if err := e.put(ctx, f.Path, f.Mode, ids[i]); err != nil {
					return "", err
				}
				continue
			}
			found, err := e.remove(ctx, f.Path)
			if err != nil {
				return "", err
			}
			if !found {
				return "", core.Errorf(core.KindInvalid, "%s cannot be deleted: it does not exist", quote(f.Path))
			}
		}
		return e.write()
	})
}

// Restore makes a commit on top of the branch whose tree is that of an older
// commit, given as a revision, which BaseEphemeral makes one of the ephemeral
// namespace. Errors: as [Service.CommitFiles].
func (s *Service) Restore(ctx context.Context, c Commit, revision string) (Result, error) {
	if c.Message == "" {
		c.Message = "Restore " + revision
	}
	// Here the flag is about the revision: there is no base branch.
	from := namespace(c.BaseEphemeral)
	c.Base, c.BaseEphemeral = "", false
	if err := s.ready(ctx, &c); err != nil {
		return Result{}, err
	}
	if revision == "" {
		return Result{}, core.Errorf(core.KindInvalid, "base_ref is required")
	}
	wanted, err := s.resolve(ctx, c.Repo, from, revision)
	if err != nil {
		return Result{}, err
	}
	p := s.newPack(c.Repo)
	defer p.close()
	return s.advance(ctx, c, p, func(context.Context, core.ObjectID) (core.ObjectID, error) { return wanted.tree, nil })
}
