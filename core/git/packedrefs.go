package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
)

// packedRef is one line of a packed-refs file.
type packedRef struct {
	id     core.ObjectID
	peeled core.ObjectID // what an annotated tag points to in the end; else ""
}

// packedHeader promises readers that names are sorted and that every tag has
// its peeled value, so that none of them opens an object to advertise it.
const packedHeader = "# pack-refs with: peeled fully-peeled sorted \n"

// WriteRefs is UpdateRefs for very many refs of a repository in which nobody
// else reads or writes refs: a first mirror. All refs, the old ones too, end in
// one packed-refs file, which is flushed to the disk and renamed into place.
// git's own way makes and locks a file per ref and, to pack them, locks and
// removes each again: a millisecond per ref, minutes for 50,000.
//
// Objects and old values are checked. A failure that a ref causes is a
// [*RefError], and then nothing has changed. A repository that does not store
// its refs as files is refused: git would not look into the file.
func (g *Git) WriteRefs(ctx context.Context, dir string, transactions ...[]RefChange) error {
	if err := g.checkRefFormat(ctx, dir); err != nil {
		return err
	}
	refs, err := g.packable(ctx, dir)
	if err != nil {
		return err
	}
	before := make(map[string]bool, len(refs))
	for name := range refs {
		before[name] = true
	}
	if err := g.change(ctx, dir, refs, transactions); err != nil {
		return err
	}
	names := sortedNames(refs)
	if err := checkFolders(refs, names); err != nil {
		return err
	}
	packed, err := openPackedRefs(dir)
	if err != nil {
		return fmt.Errorf("write packed-refs: %w", err)
	}
	if err := packed.write(refs, names); err != nil {
		return fmt.Errorf("write packed-refs: %w", errors.Join(err, packed.discard()))
	}
	return removeLoose(dir, "refs", before)
}

// change makes the transactions in the map of all refs.
func (g *Git) change(ctx context.Context, dir string, refs map[string]packedRef, transactions [][]RefChange) error {
	peeled := make(map[core.ObjectID]core.ObjectID, len(refs)) // of every object that a ref points to
	for _, r := range refs {
		peeled[r.id] = r.peeled
	}
	if err := g.peel(ctx, dir, transactions, peeled); err != nil {
		return err
	}
	for _, tx := range transactions {
		for _, c := range tx {
			if err := change(refs, peeled, c); err != nil {
				return err
			}
		}
	}
	return nil
}

func sortedNames(refs map[string]packedRef) []string { return slices.Sorted(maps.Keys(refs)) }

// checkRefFormat refuses a repository in which git does not read packed-refs.
// An older git does not open one at all: the listing of refs that follows fails.
//
// Git is asked only where the file that must say so (config, git-config(1)) has the
// word, in whatever form, or takes in other files: every change of refs comes by here.
func (g *Git) checkRefFormat(ctx context.Context, dir string) error {
	config, err := os.ReadFile(filepath.Join(dir, "config"))
	if err == nil {
		config = bytes.ToLower(config)
		if !bytes.Contains(config, []byte("refstorage")) && !bytes.Contains(config, []byte("include")) {
			return nil
		}
	}
	out, err := g.Output(ctx, Command{Name: "config", Dir: dir, Flags: []string{"--default=files", "--get"}, Args: []string{"extensions.refStorage"}})
	if err != nil {
		return err
	}
	if format := strings.TrimSpace(string(out)); format != "files" {
		return core.Errorf(core.KindInternal, "the repository stores its refs as %q, not as files; convert it: git refs migrate --ref-format=files", format)
	}
	return nil
}

// packable lists all refs with their peeled values, but for symbolic refs,
// which a packed-refs file cannot hold.
func (g *Git) packable(ctx context.Context, dir string) (map[string]packedRef, error) {
	if read, ok := readRefs(dir, nil); ok && read.peeled {
		return read.refs, nil
	}
	refs := make(map[string]packedRef)
	err := g.eachRef(ctx, dir, "%(objectname) %(refname) %(*objectname) %(symref)", nil, func(line string) {
		if f := strings.Split(line, " "); len(f) == 4 && f[3] == "" {
			refs[f[1]] = packedRef{id: core.ObjectID(f[0]), peeled: core.ObjectID(f[2])}
		}
	})
	return refs, err
}

// peel adds the peeled values of the new objects that are not in the map yet,
// and refuses one that does not exist or that its ref must not point to.
func (g *Git) peel(ctx context.Context, dir string, transactions [][]RefChange, peeled map[core.ObjectID]core.ObjectID) error {
	var ask strings.Builder
	first := make(map[core.ObjectID]string) // unknown objects, with a ref that wants them
	branch := make(map[core.ObjectID]string)
	for _, tx := range transactions {
		for _, c := range tx {
			if _, ok := peeled[c.New]; ok || c.IsDelete() || !c.New.Valid() {
				continue
			}
			if first[c.New] == "" {
				first[c.New] = c.Name
				fmt.Fprintf(&ask, "%s\n%s^{}\n", c.New, c.New)
			}
			if strings.HasPrefix(c.Name, "refs/heads/") {
				branch[c.New] = c.Name
			}
		}
	}
	if len(first) == 0 {
		return nil
	}
	out, err := g.Output(ctx, Command{
		Name: "cat-file", Dir: dir, Flags: []string{"--batch-check=%(objectname) %(objecttype)"}, Stdin: strings.NewReader(ask.String()),
	})
	if err != nil {
		return err
	}
	lines := strings.Fields(string(out)) // two answers of two words per object
	for ; len(lines) >= 4; lines = lines[4:] {
		id, kind, target := core.ObjectID(lines[0]), lines[1], core.ObjectID(lines[2])
		ref := first[id]
		if branch[id] != "" && kind != "commit" {
			kind, ref = "missing", branch[id]
		}
		switch kind {
		case "missing":
			return &RefError{Ref: ref, Kind: RefNoObject, Err: fmt.Errorf("object %s is missing or no commit", id)}
		case "tag":
			peeled[id] = target
		default:
			peeled[id] = ""
		}
	}
	return nil
}

// change makes one change in the map.
func change(refs map[string]packedRef, peeled map[core.ObjectID]core.ObjectID, c RefChange) error {
	have, ok := refs[c.Name]
	if !c.Force && (ok && have.id != c.Old || !ok && !c.Old.IsZero()) {
		return &RefError{Ref: c.Name, Kind: RefStale, Err: fmt.Errorf("is at %q, not at %q", have.id, c.Old)}
	}
	if c.IsDelete() {
		delete(refs, c.Name)
		return nil
	}
	if err := core.ValidateRefName(c.Name); err != nil || !c.New.Valid() {
		return &RefError{Ref: c.Name, Kind: RefBadName, Err: errors.Join(err, errors.New("not a ref name and an object id"))}
	}
	refs[c.Name] = packedRef{id: c.New, peeled: peeled[c.New]}
	return nil
}

// checkFolders finds a ref whose name is a folder of another's.
func checkFolders(refs map[string]packedRef, names []string) error {
	for _, name := range names {
		for i, r := range name {
			if r != '/' {
				continue
			}
			if _, ok := refs[name[:i]]; ok {
				return &RefError{Ref: name, Kind: RefConflict, Err: fmt.Errorf("%q exists", name[:i])}
			}
		}
	}
	return nil
}

// packedRefs is a new file of packed refs in the making, under git's lock on it.
type packedRefs struct {
	path string   // of the file
	lock *os.File // nil: it is in place, or discarded
}

// openPackedRefs takes the lock. An error is [fs.ErrExist] where another has it.
func openPackedRefs(dir string) (*packedRefs, error) {
	path := filepath.Join(dir, "packed-refs")
	lock, err := os.OpenFile(path+".lock", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &packedRefs{path, lock}, nil
}

// write replaces the file as git does: under its lock, flushed, by rename.
func (p *packedRefs) write(refs map[string]packedRef, names []string) error {
	w := bufio.NewWriterSize(p.lock, 64<<10)
	_, _ = w.WriteString(packedHeader) // Flush returns the first error
	for _, name := range names {
		r := refs[name]
		_, _ = fmt.Fprintf(w, "%s %s\n", r.id, name)
		if r.peeled != "" {
			_, _ = fmt.Fprintf(w, "^%s\n", r.peeled)
		}
	}
	if err := errors.Join(w.Flush(), p.lock.Sync()); err != nil {
		return err
	}
	if err := os.Rename(p.path+".lock", p.path); err != nil {
		return err
	}
	lock := p.lock
	p.lock = nil
	return errors.Join(lock.Close(), durable.SyncDir(filepath.Dir(p.path)))
}

// discard gives the lock up, if the file is not in place.
func (p *packedRefs) discard() error {
	if p.lock == nil {
		return nil
	}
	lock := p.lock
	p.lock = nil
	return errors.Join(lock.Close(), os.Remove(p.path+".lock"))
}

// removeLoose removes the loose refs of that folder which were there before, all
// of them packed or deleted by now, and the folders that this empties.
func removeLoose(dir, folder string, before map[string]bool) error {
	entries, err := os.ReadDir(filepath.Join(dir, folder))
	if err != nil {
		return fmt.Errorf("remove loose refs: %w", err)
	}
	for _, e := range entries {
		name := folder + "/" + e.Name()
		path := filepath.Join(dir, name)
		switch {
		case e.IsDir():
			if err := removeLoose(dir, name, before); err != nil {
				return err
			}
			// Without refs/heads git does not take a folder for a repository.
			// Another that is not empty stays, and one that is costs nothing
			// but time: no error counts.
			if name != "refs/heads" && name != "refs/tags" {
				_ = os.Remove(path)
			}
		case before[name]:
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove loose refs: %w", err)
			}
		}
	}
	return nil
}
