package git

import (
	"bytes"
	"encoding/hex"

	"github.com/headwater-git/headwater/core"
)

// treeItem is one entry of a tree object.
type treeItem struct {
	mode   []byte // without leading zeros
	name   []byte
	id     []byte
	folder bool
}

var errTreeObject = core.Errorf(core.KindInternal, "a tree object is damaged")

// nextItem takes the first entry off a tree object.
func nextItem(data []byte, idSize int) (item treeItem, rest []byte, err error) {
	space := bytes.IndexByte(data, ' ')
	if space < 1 {
		return item, nil, errTreeObject
	}
	mode := bytes.TrimLeft(data[:space], "0")
	data = data[space+1:]
	end := bytes.IndexByte(data, 0)
	if end < 0 || len(data) < end+1+idSize {
		return item, nil, errTreeObject
	}
	return treeItem{mode, data[:end], data[end+1 : end+1+idSize], string(mode) == "40000"}, data[end+1+idSize:], nil
}

func idOf(i treeItem) core.ObjectID { return core.ObjectID(hex.EncodeToString(i.id)) }

// compareItems is git's order: a folder counts as its name with a slash.
func compareItems(a, b treeItem) int {
	n := min(len(a.name), len(b.name))
	if c := bytes.Compare(a.name[:n], b.name[:n]); c != 0 {
		return c
	}
	at := func(i treeItem) int {
		switch {
		case n < len(i.name):
			return int(i.name[n])
		case i.folder:
			return '/'
		}
		return 0
	}
	return at(a) - at(b)
}

// EmptyTree returns the id of the tree without entries, which git knows without
// having it, in the object format of the id.
func EmptyTree(like core.ObjectID) core.ObjectID {
	if len(like) == 64 {
		return "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"
	}
	return "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
}
