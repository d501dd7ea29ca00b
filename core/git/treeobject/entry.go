// Package treeobject reads tree objects, and measures how much git would unfold of them
// before a git is started that has to.
package treeobject

import (
	"bytes"
	"encoding/hex"

	"github.com/headwater-git/headwater/core"
)

// Entry is one entry of a tree object.
type Entry struct {
	Mode   []byte // without leading zeros
	Name   []byte
	ID     []byte // raw
	Folder bool
}

// ErrDamaged says that a tree object cannot be read.
var ErrDamaged = core.Errorf(core.KindInternal, "a tree object is damaged")

// Next takes the first entry off a tree object.
func Next(data []byte, idSize int) (item Entry, rest []byte, err error) {
	space := bytes.IndexByte(data, ' ')
	if space < 1 {
		return item, nil, ErrDamaged
	}
	mode := bytes.TrimLeft(data[:space], "0")
	data = data[space+1:]
	end := bytes.IndexByte(data, 0)
	if end < 0 || len(data) < end+1+idSize {
		return item, nil, ErrDamaged
	}
	return Entry{mode, data[:end], data[end+1 : end+1+idSize], string(mode) == "40000"}, data[end+1+idSize:], nil
}

func idOf(i Entry) core.ObjectID { return core.ObjectID(hex.EncodeToString(i.ID)) }

// Compare orders two entries as git does: a folder counts as its name with a slash.
func Compare(a, b Entry) int {
	n := min(len(a.Name), len(b.Name))
	if c := bytes.Compare(a.Name[:n], b.Name[:n]); c != 0 {
		return c
	}
	at := func(i Entry) int {
		switch {
		case n < len(i.Name):
			return int(i.Name[n])
		case i.Folder:
			return '/'
		}
		return 0
	}
	return at(a) - at(b)
}

// Empty returns the id of the tree without entries, which git knows without
// having it, in the object format of the id.
func Empty(like core.ObjectID) core.ObjectID {
	if len(like) == 64 {
		return "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"
	}
	return "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
}
