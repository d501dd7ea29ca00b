// Package treeobject reads and writes tree objects, and measures how much git would unfold of them
// before a git is started that has to.
package treeobject

import (
	"bytes"
	"encoding/hex"

	"github.com/headwater-git/headwater/core"
)

// Entry is one entry of a tree object. Its slices are parts of the object.
type Entry struct {
	Mode   []byte // octal digits as they are stored; old programs wrote leading zeros
	Name   []byte
	ID     []byte // raw
	Folder bool   // the mode is a folder's
}

// ObjectID returns the id of what the entry names.
func (e Entry) ObjectID() core.ObjectID { return core.ObjectID(hex.EncodeToString(e.ID)) }

// sameMode reports whether two entries have the same mode, however it is written.
func (e Entry) sameMode(o Entry) bool {
	return bytes.Equal(bytes.TrimLeft(e.Mode, "0"), bytes.TrimLeft(o.Mode, "0"))
}

// ErrDamaged says that a tree object cannot be read.
var ErrDamaged = core.Errorf(core.KindInternal, "a tree object is damaged")

// Next takes the first entry off a tree object whose ids have idSize bytes, and returns
// the rest. It checks the form only: the name may be empty, and the mode one that
// git does not know. The error is [ErrDamaged].
func Next(data []byte, idSize int) (e Entry, rest []byte, err error) {
	space := bytes.IndexByte(data, ' ')
	if space < 1 {
		return e, nil, ErrDamaged
	}
	mode := data[:space]
	data = data[space+1:]
	end := bytes.IndexByte(data, 0)
	if end < 0 || len(data) < end+1+idSize {
		return e, nil, ErrDamaged
	}
	folder := string(bytes.TrimLeft(mode, "0")) == "40000"
	return Entry{mode, data[:end], data[end+1 : end+1+idSize], folder}, data[end+1+idSize:], nil
}

// Append appends an entry to a tree object. The id is raw. The caller keeps the entries
// in the order of [Compare].
func Append(dst []byte, mode, name, id string) []byte {
	dst = append(append(dst, mode...), ' ')
	dst = append(append(dst, name...), 0)
	return append(dst, id...)
}

// Compare orders two entries by their names as git does: a folder counts as its name
// with a slash. The result is negative, 0 or positive.
func Compare[T ~string | ~[]byte](a T, aFolder bool, b T, bFolder bool) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return int(a[i]) - int(b[i])
		}
	}
	return byteAt(a, aFolder, n) - byteAt(b, bFolder, n)
}

// byteAt returns the byte of the ordering name at i, 0 after its end.
func byteAt[T ~string | ~[]byte](name T, folder bool, i int) int {
	switch {
	case i < len(name):
		return int(name[i])
	case i == len(name) && folder:
		return '/'
	}
	return 0
}

// Empty returns the id of the tree without entries, which git knows without
// having it, in the object format of the id.
func Empty(like core.ObjectID) core.ObjectID {
	if len(like) == 64 {
		return "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"
	}
	return "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
}
