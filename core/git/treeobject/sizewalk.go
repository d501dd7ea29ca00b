package treeobject

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"

	"github.com/headwater-git/headwater/core"
)

// sizeWalk is one measurement.
type sizeWalk struct {
	t    *Sizes
	dir  string
	seen int64 // entries that were looked at
	// sizes are those of this walk. The shared cache may evict some meanwhile, and
	// without them the walk would visit the same tree again for each of its parents.
	sizes map[treeKey]treeSize
	pairs map[[2]treeKey]treeSize
}

func (t *Sizes) walk(dir string) *sizeWalk {
	return &sizeWalk{t: t, dir: dir, sizes: map[treeKey]treeSize{}, pairs: map[[2]treeKey]treeSize{}}
}

// over returns what is wrong with a size; nil if nothing is.
func (w *sizeWalk) over(s treeSize) error {
	l := w.t.limits
	switch {
	case int(s.depth) > l.Depth:
		return &overError{fmt.Sprintf("folders are nested more than %d deep here", l.Depth)}
	case s.entries > l.Entries:
		return &overError{fmt.Sprintf("this unfolds to more than %d files and folders", l.Entries)}
	case s.paths/pathBytes > l.Entries:
		return &overError{fmt.Sprintf("the paths of this are longer than %d bytes together", l.Entries*pathBytes)}
	}
	return nil
}

// load reads trees.
func (w *sizeWalk) load(ctx context.Context, ids ...core.ObjectID) ([][]byte, error) {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	objects, err := w.t.read.Contents(ctx, w.dir, MaxSize, names...)
	if err != nil {
		return nil, err
	}
	data := make([][]byte, len(objects))
	for i, o := range objects {
		if o.Type != "tree" {
			return nil, ErrDamaged
		}
		data[i] = o.Data
	}
	return data, nil
}

// node is a tree that was read: what it holds itself, and the folders in it. Its
// content is gone: a hostile one is large, and there may be one on every level.
type node struct {
	own     treeSize
	folders []subfolder
	over    error
}

// subfolder is a folder within a tree. There may be a million of them at once.
type subfolder struct {
	id   [32]byte // raw; the rest of a shorter one is zero
	name int32    // length of its name
}

func (f subfolder) objectID(idSize int) core.ObjectID {
	return core.ObjectID(hex.EncodeToString(f.id[:idSize]))
}

// scan takes a tree apart.
func (w *sizeWalk) scan(data []byte, idSize int) (n node, err error) {
	for len(data) > 0 {
		var item Entry
		if item, data, err = Next(data, idSize); err != nil {
			return n, err
		}
		// Each entry of each distinct tree counts at least once.
		if w.seen++; w.seen > 2*w.t.limits.Entries {
			n.own.entries = topSize
			n.over, n.folders = w.over(n.own), nil
			return n, nil
		}
		if item.Folder {
			f := subfolder{name: int32(len(item.Name))}
			copy(f.id[:], item.ID)
			n.folders = append(n.folders, f)
			continue
		}
		n.own.leaf(len(item.Name))
	}
	return n, nil
}

// size returns the known size of a tree.
func (w *sizeWalk) size(k treeKey) (treeSize, bool) {
	if s, ok := w.sizes[k]; ok {
		return s, true
	}
	s, ok := w.t.known(k)
	if ok {
		w.sizes[k] = s
	}
	return s, ok
}

// whole returns the size of a tree. What is over a limit ends it early, and is
// remembered, too.
func (w *sizeWalk) whole(ctx context.Context, id core.ObjectID, depth int) (treeSize, error) {
	if s, ok := w.size(keyOfID(id)); ok {
		return s, nil
	}
	data, err := w.load(ctx, id)
	if err != nil {
		return treeSize{}, err
	}
	n, err := w.scan(data[0], len(id)/2)
	if err != nil {
		return treeSize{}, err
	}
	return w.measure(ctx, keyOfID(id), n, len(id)/2, depth)
}

// measure is whole for a tree that was read.
func (w *sizeWalk) measure(ctx context.Context, k treeKey, n node, idSize, depth int) (size treeSize, err error) {
	defer func() {
		if _, over := err.(*overError); over || err == nil { //nolint:errorlint // see narrowed
			w.sizes[k] = size
			w.t.remember(k, size)
		}
	}()
	size = n.own
	if n.over != nil {
		return size, n.over
	}
	if depth > w.t.limits.Depth {
		size.depth = math.MaxInt32 / 2
		return size, w.over(size)
	}
	for folders := n.folders; len(folders) > 0; {
		some := folders[:min(len(folders), treesAtOnce)]
		folders = folders[len(some):]
		if err := w.inner(ctx, &size, some, idSize, depth); err != nil {
			return size, err
		}
	}
	return size, nil
}

// inner adds the sizes of folders, reading those that are not known.
func (w *sizeWalk) inner(ctx context.Context, size *treeSize, folders []subfolder, idSize, depth int) error {
	nodes := map[treeKey]node{}
	var ids []core.ObjectID
	for _, f := range folders {
		k := keyOf(f.id[:])
		if _, ok := w.size(k); ok {
			continue
		}
		if _, ok := nodes[k]; !ok {
			nodes[k] = node{}
			ids = append(ids, f.objectID(idSize))
		}
	}
	if len(ids) > 0 {
		data, err := w.load(ctx, ids...)
		if len(ids) > 1 && core.KindOf(err) == core.KindTooLarge {
			// Together they are more than is kept in memory at once.
			if err := w.inner(ctx, size, folders[:len(folders)/2], idSize, depth); err != nil {
				return err
			}
			return w.inner(ctx, size, folders[len(folders)/2:], idSize, depth)
		}
		if err != nil {
			return err
		}
		for i, id := range ids {
			n, err := w.scan(data[i], idSize)
			if err != nil {
				return err
			}
			data[i], nodes[keyOfID(id)] = nil, n
		}
	}
	for _, f := range folders {
		k := keyOf(f.id[:])
		s, ok := w.size(k)
		if !ok {
			n := nodes[k]
			delete(nodes, k)
			var err error
			if s, err = w.measure(ctx, k, n, idSize, depth+1); err != nil {
				size.add(int(f.name), s)
				return err
			}
		}
		size.add(int(f.name), s)
		if err := w.over(*size); err != nil {
			return err
		}
	}
	return nil
}
