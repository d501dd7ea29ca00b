package repo

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/core/git"
)

// Adopted is what [Repos.Adopt] found in a folder of somebody else's.
type Adopted struct {
	Branch       string // that HEAD names
	ObjectFormat string
	Refs         int // branches, tags and notes that were taken
	LeftOut      int // other refs, as a host's of pull requests
}

// Adopt makes a repository of the folder of another one, bare or not, as "git clone
// --mirror" leaves it, which stays as it is. Objects are linked where both are on one
// disk, else copied, and verified: every pack, and that nothing is missing. Branches
// and tags count as what its upstream had, so that a sync from there brings only what
// is new. Configuration and hooks are not taken.
//
// KindInvalid: it is no repository, or not a whole one. KindPrecondition: objects are
// missing or damaged.
func (r *Repos) Adopt(ctx context.Context, id, from string) (Adopted, error) {
	// Of a link the folder that it leads to is taken, and of a folder of objects, too.
	if real, err := filepath.EvalSymlinks(from); err == nil {
		from = real
	}
	if info, err := os.Stat(filepath.Join(from, ".git")); err == nil && info.IsDir() {
		from = filepath.Join(from, ".git")
	}
	if err := checkWhole(from); err != nil {
		return Adopted{}, err
	}
	format, err := r.git.Output(ctx, git.Command{Name: "rev-parse", Dir: from, Flags: []string{"--show-object-format"}})
	if err != nil {
		return Adopted{}, core.Errorf(core.KindInvalid, "%s cannot be read as a repository: %v", from, err)
	}
	a := Adopted{Branch: "main", ObjectFormat: strings.TrimSpace(string(format))}
	// --quiet: no error for a HEAD that names a commit.
	if head, err := r.git.Output(ctx, git.Command{Name: "symbolic-ref", Dir: from, Flags: []string{"--quiet"}, Args: []string{"HEAD"}}); err == nil {
		if branch, ok := strings.CutPrefix(strings.TrimSpace(string(head)), "refs/heads/"); ok {
			a.Branch = branch
		}
	}
	refs, err := r.git.RefMap(ctx, from)
	if err != nil {
		return Adopted{}, core.Errorf(core.KindPrecondition, "the refs of %s cannot be read: %v", from, err)
	}
	var changes []git.RefChange
	set := func(name string, to core.ObjectID) {
		changes = append(changes, git.RefChange{RefUpdate: core.RefUpdate{Name: name, New: to}})
	}
	for name, to := range refs {
		short := strings.TrimPrefix(name, "refs/")
		switch {
		case strings.HasPrefix(short, "heads/"), strings.HasPrefix(short, "tags/"):
			set(core.TrackingPrefix+short, to)
			set(name, to)
		case strings.HasPrefix(short, "notes/"):
			set(name, to)
		default:
			a.LeftOut++
			continue
		}
		a.Refs++
	}
	return a, r.CreateFrom(ctx, id, a.Branch, a.ObjectFormat, func(ctx context.Context, dir string) error {
		objects, err := filepath.EvalSymlinks(filepath.Join(from, "objects"))
		if err != nil {
			return err
		}
		if err := takeObjects(objects, filepath.Join(dir, "objects")); err != nil {
			return err
		}
		if err := r.git.WriteRefs(ctx, dir, changes); err != nil {
			return core.Errorf(core.KindPrecondition, "the refs of %s cannot be taken: %v", from, err)
		}
		v, err := r.git.Verify(ctx, dir)
		if err != nil {
			return err
		}
		if v.Damage != "" {
			return core.Errorf(core.KindPrecondition, "%s is not whole: %s; clone the repository anew", from, v.Damage)
		}
		return nil
	})
}

// checkWhole refuses the folder of a repository that has its objects elsewhere.
func checkWhole(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err != nil {
		return core.Errorf(core.KindInvalid, "%s is not the folder of a git repository", dir)
	}
	for name, text := range map[string]string{
		"objects/info/alternates": "shares objects with another one; make it whole first: git -C DIR repack -a -d && rm DIR/objects/info/alternates",
		"shallow":                 "is shallow; bring the rest first: git -C DIR fetch --unshallow",
	} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Size() > 0 {
			return core.Errorf(core.KindInvalid, "the repository %s %s", dir, strings.ReplaceAll(text, "DIR", dir))
		}
	}
	if partial, err := globIn(filepath.Join(dir, "objects"), "pack/*.promisor"); err != nil || len(partial) > 0 {
		return errors.Join(err, core.Errorf(core.KindInvalid, "the repository %s is a partial clone; clone it whole: git clone --mirror URL", dir))
	}
	return nil
}

// takeObjects links or copies the objects of a folder to another one.
func takeObjects(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && (name == "info" || strings.HasPrefix(d.Name(), "tmp_")):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		case !d.Type().IsRegular(), strings.HasPrefix(d.Name(), "tmp_"), strings.HasPrefix(d.Name(), ".tmp-"), strings.HasPrefix(d.Name(), "multi-pack-index"),
			strings.HasSuffix(name, ".keep"), strings.HasSuffix(name, ".lock"):
			return nil
		}
		target := filepath.Join(to, name)
		if os.Link(path, target) == nil {
			return nil
		}
		return durable.CopyFile(path, target, 0o400)
	})
}
