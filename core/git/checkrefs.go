package git

import (
	"context"
	"fmt"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// FindRefFailures tells which of the changes git would not make if all were made
// together, deletions first, by index: those of refs that are elsewhere, that another
// process has locked, whose name or object will not do, or whose name is a folder of
// another one's. Of two new names of which one is a folder of the other, the longer
// one fails. Force is respected.
//
// It takes two processes, however many changes there are, and locks nothing. Git
// itself names only the first failure of a transaction.
func (g *Git) FindRefFailures(ctx context.Context, dir string, changes []RefChange) (map[int]*RefError, error) {
	have, err := g.RefMap(ctx, dir)
	if err != nil {
		return nil, err
	}
	kinds, err := g.objectKinds(ctx, dir, changes)
	if err != nil {
		return nil, err
	}
	failed := map[int]*RefError{}
	fail := func(i int, kind UpdateRefErrorKind, format string, args ...any) {
		failed[i] = &RefError{Ref: changes[i].Name, Kind: kind, Err: fmt.Errorf(format, args...)}
	}
	files := newFolderCache(dir)
	names := make(map[string]int, len(changes))
	for i, c := range changes {
		at := have[c.Name]
		_, twice := names[c.Name]
		names[c.Name] = i
		switch kind := kinds[c.New]; {
		case twice:
			fail(i, RefTwice, "named twice")
		case core.ValidateRefName(c.Name) != nil || !c.IsDelete() && !c.New.Valid():
			fail(i, RefBadName, "not a ref name and an object id")
		case !c.IsDelete() && core.RefNameTooLong(c.Name):
			fail(i, RefTooLong, "%s", core.RefNameLimits)
		case !c.Force && !at.Same(c.Old), !c.Force && c.IsDelete() && at.IsZero():
			fail(i, RefStale, "is at %q, not at %q", at, c.Old)
		case !c.IsDelete() && (kind == "" || kind != "commit" && strings.HasPrefix(c.Name, "refs/heads/")):
			fail(i, RefNoObject, "object %s is missing or no commit", c.New)
		default:
			if files.has(c.Name + ".lock") {
				fail(i, RefLocked, "%s.lock exists", c.Name)
			}
		}
	}
	findFolderFailures(have, changes, failed)
	return failed, nil
}

// findFolderFailures adds the changes whose names exclude others, beside those that
// have failed already.
func findFolderFailures(have map[string]core.ObjectID, changes []RefChange, failed map[int]*RefError) {
	for i, c := range changes {
		if failed[i] == nil && c.IsDelete() {
			delete(have, c.Name)
		}
	}
	folders := make(map[string]string, len(have)) // with a name within
	for name := range have {
		for folder := range foldersOf(name) {
			folders[folder] = name
		}
	}
	created := make(map[string]bool, len(changes))
	for i, c := range changes {
		if failed[i] == nil && !c.IsDelete() && have[c.Name].IsZero() {
			created[c.Name] = true
		}
	}
	for i, c := range changes {
		if !created[c.Name] || failed[i] != nil {
			continue
		}
		other, taken := folders[c.Name]
		for folder := range foldersOf(c.Name) {
			if _, ok := have[folder]; ok || created[folder] {
				other, taken = folder, true
			}
		}
		if taken {
			failed[i] = &RefError{Ref: c.Name, Kind: RefConflict, Err: fmt.Errorf("excludes %q", other)}
		}
	}
}

// foldersOf yields the folders of a name, from the outermost in.
func foldersOf(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i, r := range name {
			if r == '/' && !yield(name[:i]) {
				return
			}
		}
	}
}

// objectKinds returns the types of the new objects that exist.
func (g *Git) objectKinds(ctx context.Context, dir string, changes []RefChange) (map[core.ObjectID]string, error) {
	kinds := map[core.ObjectID]string{}
	var ask strings.Builder
	for _, c := range changes {
		if _, asked := kinds[c.New]; !asked && !c.IsDelete() && c.New.Valid() {
			kinds[c.New] = ""
			ask.WriteString(string(c.New) + "\n")
		}
	}
	if len(kinds) == 0 {
		return kinds, nil
	}
	out, err := g.Output(ctx, Command{
		Name: "cat-file", Dir: dir, Flags: []string{"--batch-check=%(objectname) %(objecttype)"}, Stdin: strings.NewReader(ask.String()),
	})
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(out)) {
		if id, kind, ok := strings.Cut(strings.TrimSpace(line), " "); ok && kind != "missing" {
			kinds[core.ObjectID(id)] = kind
		}
	}
	return kinds, nil
}
