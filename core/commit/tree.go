package commit

import (
	"bytes"
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/treeobject"
)

// maxTree is the size limit of one tree object; about a million entries.
const maxTree = 64 << 20

// treeEntry is one entry of a folder. Once the folder that it names is opened, the
// entry's id is the one before any change.
type treeEntry struct {
	name string
	mode string // without leading zeros, as in tree objects
	id   string // raw bytes; "" for a folder that is new
	open *folder
}

func (e *treeEntry) isFolder() bool { return e.mode == modeFolder || e.mode == "0"+modeFolder }

// compareEntries is the order of entries in a tree.
func compareEntries(a, b *treeEntry) int {
	return treeobject.Compare(a.name, a.isFolder(), b.name, b.isFolder())
}

// folder is a folder that is being edited: what it held, and what changes.
type folder struct {
	entries []treeEntry           // as they are stored, in order
	changes map[string]*treeEntry // by name; nil: it is gone
}

// parseFolder reads a tree object whose ids have idSize bytes.
func parseFolder(data []byte, idSize int) (*folder, error) {
	f := &folder{entries: make([]treeEntry, 0, bytes.Count(data, []byte{0})), changes: map[string]*treeEntry{}}
	text := string(data) // one copy, of which all names, modes and ids are parts
	for at := 0; at < len(data); {
		item, rest, err := treeobject.Next(data[at:], idSize)
		if err != nil {
			return nil, err
		}
		if len(item.Name) == 0 {
			return nil, treeobject.ErrDamaged
		}
		end := len(data) - len(rest)
		name := at + len(item.Mode) + 1
		f.entries = append(f.entries, treeEntry{name: text[name : name+len(item.Name)], mode: text[at : name-1], id: text[end-idSize : end]})
		at = end
	}
	return f, nil
}

// get returns the entry of a name, nil if there is none. The caller may open
// what it returns.
func (f *folder) get(name string) *treeEntry {
	if e, ok := f.changes[name]; ok {
		return e
	}
	// A name stands in one of two places, as a file or as a folder.
	for _, mode := range []string{modeFile, modeFolder} {
		want := treeEntry{name: name, mode: mode}
		i, ok := slices.BinarySearchFunc(f.entries, want, func(a, b treeEntry) int { return compareEntries(&a, &b) })
		if ok && f.entries[i].name == name {
			return &f.entries[i]
		}
	}
	return nil
}

// set puts an entry in the place of whatever has its name.
func (f *folder) set(e *treeEntry) { f.changes[e.name] = e }

// remove takes a name out.
func (f *folder) remove(name string) { f.changes[name] = nil }

// encode returns the tree object. The folders in it must have been written.
func (f *folder) encode() []byte {
	var changed []*treeEntry
	for _, e := range f.changes {
		if e != nil {
			changed = append(changed, e)
		}
	}
	slices.SortFunc(changed, compareEntries)
	var out []byte
	write := func(e *treeEntry) { out = treeobject.Append(out, e.mode, e.name, e.id) }
	for i := range f.entries {
		e := &f.entries[i]
		if _, ok := f.changes[e.name]; ok {
			continue
		}
		for len(changed) > 0 && compareEntries(changed[0], e) < 0 {
			write(changed[0])
			changed = changed[1:]
		}
		write(e)
	}
	for _, e := range changed {
		write(e)
	}
	return out
}

// editor applies edits to the tree of a commit.
type editor struct {
	s      *Service
	dir    string
	pack   *pack
	idSize int
	root   *folder
}

// edit opens a tree for editing; "" is an empty one.
func (s *Service) edit(ctx context.Context, dir string, p *pack, tree core.ObjectID) (*editor, error) {
	e := &editor{s: s, dir: dir, pack: p, idSize: p.hash().Size(), root: &folder{changes: map[string]*treeEntry{}}}
	if tree == "" {
		return e, nil
	}
	folders, err := e.read(ctx, string(tree))
	if err != nil {
		return nil, err
	}
	e.root = folders[0]
	return e, nil
}

// read reads folders.
func (e *editor) read(ctx context.Context, ids ...string) ([]*folder, error) {
	objects, err := e.s.objects.Contents(ctx, e.dir, maxTree, ids...)
	if n := len(ids); n > 1 && core.KindOf(err) == core.KindTooLarge {
		// Together they are more than is read at once.
		some, err := e.read(ctx, ids[:n/2]...)
		if err != nil {
			return nil, err
		}
		rest, err := e.read(ctx, ids[n/2:]...)
		return append(some, rest...), err
	}
	if err != nil {
		return nil, err
	}
	folders := make([]*folder, len(objects))
	for i, o := range objects {
		if o.Type != "tree" {
			return nil, treeobject.ErrDamaged
		}
		if folders[i], err = parseFolder(o.Data, e.idSize); err != nil {
			return nil, err
		}
		e.pack.seen[o.ID] = true // a folder that comes out as it was is not written again
	}
	return folders, nil
}

// prefetch opens the folders on the way to the paths, level by level, so that a
// change of many files costs few exchanges with git.
func (e *editor) prefetch(ctx context.Context, paths []string) error {
	level := map[string]*folder{"": e.root} // by path with a slash at the end
	for depth := 0; len(level) > 0; depth++ {
		wanted := map[string]*treeEntry{}
		for _, path := range paths {
			parent, name, ok := partAt(path, depth)
			if !ok {
				continue
			}
			at := level[parent]
			if at == nil {
				continue
			}
			if entry := at.get(name); entry != nil && entry.isFolder() && entry.open == nil {
				wanted[parent+name+"/"] = entry
			}
		}
		var ids, names []string
		for name, entry := range wanted {
			names, ids = append(names, name), append(ids, hex.EncodeToString([]byte(entry.id)))
		}
		folders, err := e.read(ctx, ids...)
		if err != nil {
			return err
		}
		level = make(map[string]*folder, len(folders))
		for i, f := range folders {
			wanted[names[i]].open = f
			level[names[i]] = f
		}
	}
	return nil
}

// partAt splits a path at its depth-th part: the folder that holds it, with a
// slash at the end, and its name. ok is false if that part is not a folder.
func partAt(path string, depth int) (parent, name string, ok bool) {
	start := 0
	for range depth {
		i := strings.IndexByte(path[start:], '/')
		if i < 0 {
			return "", "", false
		}
		start += i + 1
	}
	end := strings.IndexByte(path[start:], '/')
	if end < 0 {
		return "", "", false
	}
	return path[:start], path[start : start+end], true
}

// enter returns the folder of an entry, opened.
func (e *editor) enter(ctx context.Context, entry *treeEntry) (*folder, error) {
	if entry.open == nil {
		folders, err := e.read(ctx, hex.EncodeToString([]byte(entry.id)))
		if err != nil {
			return nil, err
		}
		entry.open = folders[0]
	}
	return entry.open, nil
}

// put writes a file at a path. It replaces what is in the way: a file where a
// folder must be, a folder where the file goes.
func (e *editor) put(ctx context.Context, path, mode string, id core.ObjectID) error {
	raw, err := hex.DecodeString(string(id))
	if err != nil || len(raw) != e.idSize {
		return core.Errorf(core.KindInternal, "a bad object id got into a tree")
	}
	at := e.root
	for {
		name, rest, deeper := strings.Cut(path, "/")
		if !deeper {
			at.set(&treeEntry{name: name, mode: mode, id: string(raw)})
			return nil
		}
		entry := at.get(name)
		if entry == nil || !entry.isFolder() {
			entry = &treeEntry{name: name, mode: modeFolder, open: &folder{changes: map[string]*treeEntry{}}}
			at.set(entry)
		}
		if at, err = e.enter(ctx, entry); err != nil {
			return err
		}
		path = rest
	}
}

// remove takes a file or folder out; found is false if there is none.
func (e *editor) remove(ctx context.Context, path string) (found bool, err error) {
	at := e.root
	for {
		name, rest, deeper := strings.Cut(path, "/")
		entry := at.get(name)
		switch {
		case entry == nil, deeper && !entry.isFolder():
			return false, nil
		case !deeper:
			at.remove(name)
			return entry.alive(), nil
		}
		if at, err = e.enter(ctx, entry); err != nil {
			return false, err
		}
		path = rest
	}
}

// alive reports whether an entry stands for anything: a folder that earlier
// edits emptied does not exist for who deletes it.
func (e *treeEntry) alive() bool {
	if e.open == nil {
		return true
	}
	for i := range e.open.entries {
		entry := &e.open.entries[i]
		if _, changed := e.open.changes[entry.name]; !changed && entry.alive() {
			return true
		}
	}
	for _, entry := range e.open.changes {
		if entry != nil && entry.alive() {
			return true
		}
	}
	return false
}

// write puts the changed folders into the pack and returns the id of the tree.
func (e *editor) write() (core.ObjectID, error) {
	id, _, err := e.writeFolder(e.root)
	return id, err
}

// writeFolder writes a folder, after the folders in it. Empty ones vanish.
func (e *editor) writeFolder(f *folder) (id core.ObjectID, empty bool, err error) {
	for i := range f.entries {
		entry := &f.entries[i]
		if _, changed := f.changes[entry.name]; changed || entry.open == nil {
			continue
		}
		// A copy, so that an unchanged folder does not count as a change.
		if len(entry.open.changes) > 0 || entry.open.anyOpen() {
			f.changes[entry.name] = &treeEntry{name: entry.name, mode: modeFolder, open: entry.open}
		}
	}
	for name, entry := range f.changes {
		if entry == nil || entry.open == nil {
			continue
		}
		child, gone, err := e.writeFolder(entry.open)
		if err != nil {
			return "", false, err
		}
		if gone {
			f.changes[name] = nil
			continue
		}
		raw, err := hex.DecodeString(string(child))
		if err != nil {
			return "", false, err
		}
		entry.id = string(raw)
	}
	content := f.encode()
	if len(content) == 0 && f != e.root {
		return "", true, nil
	}
	id, err = e.pack.add(typeTree, content)
	return id, false, err
}

// anyOpen reports whether a folder in it was opened, and so may have changed.
func (f *folder) anyOpen() bool {
	for i := range f.entries {
		if f.entries[i].open != nil {
			return true
		}
	}
	return false
}
