package content

import (
	"context"

	"github.com/headwater-git/headwater/core"
)

// FilesRequest asks for a listing of files.
type FilesRequest struct {
	At
	Path    string // folder to begin at; "" is the root. A file lists itself
	OneDeep bool   // the folder's own entries, instead of all files below it
	Cursor  string // of the page before
	Limit   int    // entries of the page; 0 is no limit
}

// Files is a listing that can be walked, more than once with the same result.
type Files struct {
	Ref    string // what was asked for, or the default branch
	Commit core.ObjectID
	s      *Service
	dir    string
	root   Entry
	after  string
	r      FilesRequest
}

// narrowFiles says how to list less.
const narrowFiles = "list a folder of it by its path"

// Files finds what to list. Errors: KindInvalid for a bad ref, path or cursor;
// KindTooLarge for more than the limits of trees; KindNotFound for an empty repository, a missing ref or a missing path.
func (s *Service) Files(ctx context.Context, repo core.Repository, r FilesRequest) (*Files, error) {
	path, err := folderPath(r.Path)
	if err != nil {
		return nil, err
	}
	at, err := parseCursor("files", r.Cursor)
	if err != nil {
		return nil, err
	}
	dir, rev, err := s.open(ctx, repo, r.At)
	if err != nil {
		return nil, err
	}
	if at.commit != "" {
		if err := s.cursorCommit(ctx, repo, at.commit, rev.Commit, "the commit that the cursor belongs to is gone"); err != nil {
			return nil, err
		}
		rev.Commit = at.commit
	}
	root, found, err := s.entry(ctx, dir, rev.Commit, path)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, core.Errorf(core.KindNotFound, "path %q not found", r.Path)
	}
	if root.Type == TypeTree && !r.OneDeep {
		if err := s.unfold.Check(ctx, dir, narrowFiles, string(root.ID)); err != nil {
			return nil, err
		}
	}
	return &Files{Ref: rev.Name, Commit: rev.Commit, s: s, dir: dir, root: root, after: at.after, r: r}, nil
}

// Walk calls visit for each entry of the page, in the order of the paths,
// where a folder counts as its name with a slash. It returns the cursor of the
// next page; "" if this is the last one.
func (f *Files) Walk(ctx context.Context, visit func(Entry) error) (next string, err error) {
	count, last := 0, ""
	counted := func(e Entry) error {
		if f.r.Limit > 0 && count == f.r.Limit {
			next = cursor{"files", f.Commit, last}.String()
			return errStop
		}
		count, last = count+1, e.key()
		return visit(e)
	}
	if f.root.Type != TypeTree {
		if f.root.key() > f.after {
			return "", counted(f.root)
		}
		return "", nil
	}
	w := walk{s: f.s, dir: f.dir, recursive: !f.r.OneDeep, after: f.after, visit: counted}
	return next, w.run(ctx, f.root.ID, f.root.Path)
}
