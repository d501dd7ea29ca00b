package treeobject

import (
	"bytes"
	"context"

	"github.com/headwater-git/headwater/core"
)

// folderPair is a folder that differs between two trees; a side without it is "".
type folderPair struct {
	from, to core.ObjectID
	name     int // length of its name
}

// pair returns how much of two trees differs, unfolded: "" is the empty tree.
func (w *sizeWalk) pair(ctx context.Context, from, to core.ObjectID, depth int) (treeSize, error) {
	switch {
	case from == to:
		return treeSize{}, nil
	case from == "":
		return w.whole(ctx, to, depth)
	case to == "":
		return w.whole(ctx, from, depth)
	}
	k := [2]treeKey{keyOfID(from), keyOfID(to)}
	if s, ok := w.pairs[k]; ok {
		return s, nil
	}
	size := treeSize{depth: int32(depth)}
	if err := w.over(size); err != nil {
		return size, err
	}
	size.depth = 0
	data, err := w.load(ctx, from, to)
	if err != nil {
		return size, err
	}
	pairs, err := w.compare(data[0], data[1], len(to)/2, &size)
	if err != nil {
		return size, err
	}
	clear(data) // large, and not needed while the folders below are compared
	for _, p := range pairs {
		inner, err := w.pair(ctx, p.from, p.to, depth+1)
		if err != nil {
			return size, err
		}
		size.add(p.name, inner)
		if err := w.over(size); err != nil {
			return size, err
		}
	}
	w.pairs[k] = size
	return size, nil
}

// compare adds the files that differ between two tree objects to the size, and
// returns the folders that do.
func (w *sizeWalk) compare(from, to []byte, idSize int, size *treeSize) (pairs []folderPair, err error) {
	var a, b Entry
	next := func(data *[]byte) (Entry, error) {
		if len(*data) == 0 {
			return Entry{}, nil
		}
		if w.seen++; w.seen > 4*w.t.limits.Entries {
			return Entry{}, w.over(treeSize{entries: topSize})
		}
		item, rest, err := Next(*data, idSize)
		*data = rest
		return item, err
	}
	one := func(i Entry, from bool) {
		switch {
		case !i.Folder:
			size.leaf(len(i.Name))
		case from:
			pairs = append(pairs, folderPair{from: i.ObjectID(), name: len(i.Name)})
		default:
			pairs = append(pairs, folderPair{to: i.ObjectID(), name: len(i.Name)})
		}
	}
	if a, err = next(&from); err != nil {
		return nil, err
	}
	if b, err = next(&to); err != nil {
		return nil, err
	}
	for a.Name != nil || b.Name != nil {
		var order int
		switch {
		case a.Name == nil:
			order = 1
		case b.Name == nil:
			order = -1
		default:
			order = Compare(a.Name, a.Folder, b.Name, b.Folder)
		}
		if order == 0 && (!bytes.Equal(a.ID, b.ID) || !a.sameMode(b)) {
			if a.Folder {
				pairs = append(pairs, folderPair{a.ObjectID(), b.ObjectID(), len(a.Name)})
			} else {
				size.leaf(len(a.Name))
			}
		}
		if order < 0 {
			one(a, true)
		}
		if order > 0 {
			one(b, false)
		}
		if order <= 0 {
			if a, err = next(&from); err != nil {
				return nil, err
			}
		}
		if order >= 0 {
			if b, err = next(&to); err != nil {
				return nil, err
			}
		}
	}
	return pairs, nil
}
