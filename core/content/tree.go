package content

import (
	"context"
	"errors"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/treeobject"
)

// EntryType is the type of a tree entry in the words of the API.
type EntryType string

// The types of entries.
const (
	TypeBlob      EntryType = "blob"
	TypeTree      EntryType = "tree"
	TypeSymlink   EntryType = "symlink"
	TypeSubmodule EntryType = "submodule"
)

// Entry is one entry of a tree.
type Entry struct {
	Path string // from the root, without a slash at the end
	Type EntryType
	Mode string // six octal digits
	ID   core.ObjectID
}

// key is where the entry stands in the order of a listing, which is git's: a
// folder counts as its name with a slash.
func (e Entry) key() string {
	if e.Type == TypeTree {
		return e.Path + "/"
	}
	return e.Path
}

const (
	// maxTree is the size limit of one tree object.
	maxTree = treeobject.MaxSize
	// treesAhead is how many folders are read in one exchange with git.
	treesAhead = 32
	// modeDigits is the length of the mode of an [Entry].
	modeDigits = 6
	// maxDepth bounds the nesting of folders; the length limit of paths on
	// common systems allows about half of it.
	maxDepth = 4096
)

// parseTree reads a tree object. Ids are raw bytes of the given number.
func parseTree(data []byte, idSize int) ([]Entry, error) {
	var entries []Entry
	for len(data) > 0 {
		item, rest, err := treeobject.Next(data, idSize)
		if err != nil {
			return nil, err
		}
		if len(item.Mode) > modeDigits {
			return nil, treeobject.ErrDamaged
		}
		mode := strings.Repeat("0", modeDigits-len(item.Mode)) + string(item.Mode)
		e := Entry{Path: string(item.Name), Type: TypeBlob, Mode: mode, ID: item.ObjectID()}
		switch {
		case e.Mode == "040000":
			e.Type = TypeTree
		case e.Mode == "120000":
			e.Type = TypeSymlink
		case e.Mode == "160000":
			e.Type = TypeSubmodule
		}
		data = rest
		entries = append(entries, e)
	}
	return entries, nil
}

// errStop is what a visitor returns to end a walk early.
var errStop = errors.New("stop the walk")

// walk visits the entries of a tree in git's order, those whose key is after
// the given one. A recursive walk visits what is in folders instead of the
// folders. Only the folders that can hold a wanted entry are read.
type walk struct {
	s         *Service
	dir       string
	recursive bool
	after     string
	visit     func(Entry) error
}

// run walks the tree with the name; prefix is its path, "" for the root. It
// returns nil when the visitor ended it with errStop.
func (w *walk) run(ctx context.Context, tree core.ObjectID, prefix string) error {
	trees, err := w.s.trees(ctx, w.dir, tree)
	if err != nil {
		return err
	}
	if prefix != "" {
		prefix += "/"
	}
	err = w.level(ctx, trees[0], prefix, 0)
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

func (w *walk) level(ctx context.Context, entries []Entry, prefix string, depth int) error {
	if depth > maxDepth {
		return core.Errorf(core.KindTooLarge, "folders are nested more than %d deep", maxDepth)
	}
	var ahead [][]Entry // contents of the folders that come next
	for i, e := range entries {
		e.Path = prefix + e.Path
		if !w.recursive || e.Type != TypeTree {
			if e.key() > w.after {
				if err := w.visit(e); err != nil {
					return err
				}
			}
			continue
		}
		if w.before(e.key()) {
			continue
		}
		if len(ahead) == 0 {
			var err error
			if ahead, err = w.s.trees(ctx, w.dir, w.folders(entries[i:], prefix)...); err != nil {
				return err
			}
		}
		inner := ahead[0]
		ahead = ahead[1:]
		if err := w.level(ctx, inner, e.key(), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// before reports whether everything below the folder was on earlier pages.
func (w *walk) before(folder string) bool {
	return w.after >= folder && !strings.HasPrefix(w.after, folder)
}

// folders returns the ids of the next folders to visit.
func (w *walk) folders(entries []Entry, prefix string) []core.ObjectID {
	var ids []core.ObjectID
	for _, e := range entries {
		if e.Type == TypeTree && !w.before(prefix+e.Path+"/") {
			if ids = append(ids, e.ID); len(ids) == treesAhead {
				break
			}
		}
	}
	return ids
}

// trees reads tree objects.
func (s *Service) trees(ctx context.Context, dir string, ids ...core.ObjectID) ([][]Entry, error) {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	objects, err := s.cat.Contents(ctx, dir, maxTree, names...)
	if n := len(ids); n > 1 && core.KindOf(err) == core.KindTooLarge {
		// Together they are more than is read at once.
		some, err := s.trees(ctx, dir, ids[:n/2]...)
		if err != nil {
			return nil, err
		}
		rest, err := s.trees(ctx, dir, ids[n/2:]...)
		return append(some, rest...), err
	}
	if err != nil {
		return nil, err
	}
	trees := make([][]Entry, len(objects))
	for i, o := range objects {
		if o.Type != "tree" {
			return nil, treeobject.ErrDamaged
		}
		if trees[i], err = parseTree(o.Data, len(o.ID)/2); err != nil {
			return nil, err
		}
	}
	return trees, nil
}

// entry finds what is at a path of a commit; found is false if nothing is. The
// path must have been checked. The root is a tree of no mode.
func (s *Service) entry(ctx context.Context, dir string, commit core.ObjectID, path string) (e Entry, found bool, err error) {
	folder, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		folder, name = path[:i], path[i+1:]
	}
	objects, err := s.cat.Contents(ctx, dir, maxTree, string(commit)+":"+folder)
	if err != nil {
		return Entry{}, false, err
	}
	if objects[0].Type != "tree" {
		return Entry{}, false, nil
	}
	if path == "" {
		return Entry{Type: TypeTree, ID: objects[0].ID}, true, nil
	}
	entries, err := parseTree(objects[0].Data, len(commit)/2)
	if err != nil {
		return Entry{}, false, err
	}
	for _, e := range entries {
		if e.Path == name {
			e.Path = path
			return e, true, nil
		}
	}
	return Entry{}, false, nil
}
