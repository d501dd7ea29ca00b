package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// packedRefsWait is how long the file of packed refs may be locked by a git, as
// core.packedRefsTimeout has it.
const packedRefsWait = time.Second

// UpdateManyRefs is UpdateRefs for a change of very many refs of a repository that is
// in use: all of it is one transaction, and deletions make room for what is created.
// The caller has the repository's write lock.
//
// git makes, flushes and renames a file for each ref. Here all end in one packed-refs
// file, which is flushed once and renamed into place under git's own lock on it. Files
// of the same refs from before are removed after that, under their locks; until then
// a reader sees their old values, as he may in the middle of git's renames.
//
// A failure that a ref causes is a [*RefError], and then nothing has changed. step is
// called by name after each step on disk, for crash tests.
func (g *Git) UpdateManyRefs(ctx context.Context, dir string, step func(name string), transactions ...[]RefChange) (err error) {
	if _, err := os.Stat(filepath.Join(dir, "reftable")); err == nil {
		_, err := g.UpdateRefs(ctx, dir, transactions...) // which writes one file itself
		return err
	}
	packed, err := lockPackedRefs(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, packed.discard()) }()
	step("packed-refs-locked")
	refs, err := g.packable(ctx, dir)
	if err != nil {
		return err
	}
	if otherRefs(dir, refs, transactions) {
		if err := packed.discard(); err != nil {
			return err
		}
		_, err := g.UpdateRefs(ctx, dir, transactions...)
		return err
	}
	if err := g.change(ctx, dir, refs, transactions); err != nil {
		return err
	}
	loose, err := lockLooseRefs(dir, transactions)
	defer func() {
		err = errors.Join(err, loose.unlock())
		step("loose-refs-unlocked")
	}()
	if err != nil {
		return err
	}
	step("loose-refs-locked")
	names := sortedNames(refs)
	if err := checkFolders(refs, names); err != nil {
		return err
	}
	if err := packed.write(refs, names); err != nil {
		return fmt.Errorf("write packed-refs: %w", err)
	}
	step("packed-refs-written")
	return loose.remove(step)
}

// otherRefs reports whether a changed ref has a file, but is none of the refs that can
// be packed: a symbolic or a broken one.
func otherRefs(dir string, refs map[string]packedRef, transactions [][]RefChange) bool {
	files := newFolderCache(dir)
	return slices.ContainsFunc(slices.Concat(transactions...), func(c RefChange) bool {
		if _, ok := refs[c.Name]; ok {
			return false
		}
		return files.has(c.Name)
	})
}

// folderCache tells which files there are, and reads each folder once: of thousands of refs
// most have none, and the system takes longer for a name than for a folder.
type folderCache struct {
	dir  string
	seen map[string]map[string]bool // files by folder
}

func newFolderCache(dir string) *folderCache {
	return &folderCache{dir, make(map[string]map[string]bool)}
}

// has reports whether there is a file of this name, which is no folder. What cannot be
// read is not there.
func (f *folderCache) has(name string) bool {
	folder, base := path.Split(name)
	names, ok := f.seen[folder]
	if !ok {
		names = make(map[string]bool)
		entries, _ := os.ReadDir(filepath.Join(f.dir, folder))
		for _, e := range entries {
			if !e.IsDir() {
				names[e.Name()] = true
			}
		}
		f.seen[folder] = names
	}
	return names[base]
}

// looseRefs are locked refs that have a file of their own.
type looseRefs struct {
	dir   string
	names []string
}

// lockLooseRefs locks those of the changed refs that have a file. What it has locked
// is returned with an error, too.
func lockLooseRefs(dir string, transactions [][]RefChange) (*looseRefs, error) {
	loose, files := &looseRefs{dir: dir}, newFolderCache(dir)
	for _, c := range slices.Concat(transactions...) {
		if !files.has(c.Name) {
			continue
		}
		lock, err := os.OpenFile(filepath.Join(dir, c.Name)+".lock", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return loose, &RefError{Ref: c.Name, Kind: RefLocked, Err: err}
		}
		if err != nil {
			return loose, fmt.Errorf("lock a ref: %w", err)
		}
		loose.names = append(loose.names, c.Name)
		if err := lock.Close(); err != nil {
			return loose, fmt.Errorf("lock a ref: %w", err)
		}
	}
	return loose, nil
}

// remove removes the files.
func (l *looseRefs) remove(step func(name string)) error {
	for _, name := range l.names {
		if err := os.Remove(filepath.Join(l.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove loose refs: %w", err)
		}
		step("loose-ref-removed")
	}
	return nil
}

// unlock removes the locks, and folders that are empty then.
func (l *looseRefs) unlock() error {
	var failed []error
	for _, name := range l.names {
		if err := os.Remove(filepath.Join(l.dir, name+".lock")); err != nil {
			failed = append(failed, err)
		}
		// Git needs refs/heads to take the folder for a repository, so three parts
		// stay. A folder that is not empty stays, too, and one that is costs little.
		for folder := filepath.Dir(name); strings.Count(folder, "/") >= 2; folder = filepath.Dir(folder) {
			if os.Remove(filepath.Join(l.dir, folder)) != nil {
				break
			}
		}
	}
	return errors.Join(failed...)
}

// lockPackedRefs takes git's lock on the file of packed refs.
func lockPackedRefs(ctx context.Context, dir string) (*packedRefs, error) {
	for deadline := time.Now().Add(packedRefsWait); ; {
		p, err := openPackedRefs(dir)
		if !errors.Is(err, fs.ErrExist) {
			return p, err
		}
		if time.Now().After(deadline) {
			return nil, &RefError{Kind: RefLocked, Err: err}
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
