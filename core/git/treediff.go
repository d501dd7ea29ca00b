package git

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
	var a, b treeItem
	next := func(data *[]byte) (treeItem, error) {
		if len(*data) == 0 {
			return treeItem{}, nil
		}
		if w.seen++; w.seen > 4*w.t.limits.Entries {
			return treeItem{}, w.over(treeSize{entries: topSize})
		}
		item, rest, err := nextItem(*data, idSize)
		*data = rest
		return item, err
	}
	one := func(i treeItem, from bool) {
		switch {
		case !i.folder:
			size.leaf(len(i.name))
		case from:
			pairs = append(pairs, folderPair{from: idOf(i), name: len(i.name)})
		default:
			pairs = append(pairs, folderPair{to: idOf(i), name: len(i.name)})
		}
	}
	if a, err = next(&from); err != nil {
		return nil, err
	}
	if b, err = next(&to); err != nil {
		return nil, err
	}
	for a.name != nil || b.name != nil {
		var order int
		switch {
		case a.name == nil:
			order = 1
		case b.name == nil:
			order = -1
		default:
			order = compareItems(a, b)
		}
		if order == 0 && (!bytes.Equal(a.id, b.id) || !bytes.Equal(a.mode, b.mode)) {
			if a.folder {
				pairs = append(pairs, folderPair{idOf(a), idOf(b), len(a.name)})
			} else {
				size.leaf(len(a.name))
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
