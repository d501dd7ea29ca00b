package content

import (
	"context"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/treeobject"
)

const (
	// maxDiffText is up to which size, in bytes, the diff of one file is part
	// of an answer.
	maxDiffText = 500_000
	// maxDiffPaths is how many paths a diff may be limited to.
	maxDiffPaths = 500
	// renameLimit bounds the search for renames, which compares every new file
	// with every removed one.
	renameLimit = "1000"
)

// CommitDiffRequest asks for what a commit changed.
type CommitDiffRequest struct {
	Head  At
	Base  At // an empty Ref is the first parent, or nothing for a root commit
	Paths []string
	// Exact makes the texts, put together, a patch for the base. Without it
	// changes in the amount of white space are ignored everywhere, and files
	// with no other change are left out.
	Exact bool
}

// BranchDiffRequest asks for what a branch changed since it left its base.
type BranchDiffRequest struct {
	Branch At
	Base   At // an empty Ref is the default branch
	Paths  []string
}

// DiffStats sums a diff up, filtered files included; binary ones have no lines.
type DiffStats struct{ Files, Additions, Deletions int }

// DiffFile is one file of a diff.
type DiffFile struct {
	Path      string
	OldPath   string // of a rename or copy
	State     string // git's letter: A, C, D, M, R or T; R and C with the likeness
	Additions int
	Deletions int
	Binary    bool
	// Raw is the unified diff of the file; nil if Filtered: it is binary, too
	// large, or is no valid text for JSON and is wanted exactly.
	Raw      []byte
	Filtered bool
	Bytes    int64 // of the diff text, also when that is left out
	Whole    bool  // Raw is all there is to tell
}

// Diff is a diff whose files are read as git finds them.
type Diff struct {
	Head, Base   core.ObjectID // commits; Base is "" for a root commit
	MergeBase    core.ObjectID // of a branch diff; "" if there is none
	HeadName     string
	BaseName     string
	Stats        DiffStats
	patches      *patchReader
	out          *git.Stream
	cancel       context.CancelFunc
	pendingFiles []diffFile
}

// CommitDiff starts the diff of a commit against its base. The caller must
// Close it. Errors: KindInvalid, KindNotFound.
func (s *Service) CommitDiff(ctx context.Context, repo core.Repository, r CommitDiffRequest) (*Diff, error) {
	if r.Head.Ref == "" {
		return nil, core.Errorf(core.KindInvalid, "name a commit")
	}
	paths, err := checkPaths(r.Paths, maxDiffPaths)
	if err != nil {
		return nil, err
	}
	dir, head, err := s.open(ctx, repo, r.Head)
	if err != nil {
		return nil, err
	}
	d := &Diff{Head: head.Commit, HeadName: head.Name}
	if r.Base.Ref != "" {
		base, err := s.resolve(ctx, dir, repo, r.Base)
		if err != nil {
			return nil, err
		}
		d.Base, d.BaseName = base.Commit, base.Name
	} else {
		commits, err := s.commits(ctx, dir, head.Commit)
		if err != nil {
			return nil, err
		}
		if parents := commits[0].Parents; len(parents) > 0 {
			d.Base = parents[0]
		}
	}
	from := d.Base
	if from == "" {
		from = treeobject.Empty(d.Head)
	}
	return d, s.diff(ctx, dir, d, from, paths, r.Exact)
}

// BranchDiff starts the diff of a branch against the merge base with its base
// branch. The caller must Close it. Errors: KindInvalid, KindNotFound.
func (s *Service) BranchDiff(ctx context.Context, repo core.Repository, r BranchDiffRequest) (*Diff, error) {
	if r.Branch.Ref == "" {
		return nil, core.Errorf(core.KindInvalid, "name a branch")
	}
	paths, err := checkPaths(r.Paths, maxDiffPaths)
	if err != nil {
		return nil, err
	}
	dir, head, err := s.open(ctx, repo, r.Branch)
	if err != nil {
		return nil, err
	}
	base, err := s.resolve(ctx, dir, repo, r.Base)
	if err != nil {
		return nil, err
	}
	d := &Diff{Head: head.Commit, HeadName: head.Name, Base: base.Commit, BaseName: base.Name}
	if d.MergeBase, err = s.mergeBase(ctx, dir, base.Commit, head.Commit); err != nil {
		return nil, err
	}
	from := d.MergeBase
	if from == "" {
		from = treeobject.Empty(d.Head) // nothing in common: all of it is the branch's
	}
	return d, s.diff(ctx, dir, d, from, paths, false)
}

// mergeBase returns the best common ancestor of two commits; "" if none.
func (s *Service) mergeBase(ctx context.Context, dir string, a, b core.ObjectID) (core.ObjectID, error) {
	ctx, cancel := limited(ctx, historyTimeout, "the search for the merge base")
	defer cancel()
	ids, err := s.ids(ctx, git.Command{Name: "merge-base", Dir: dir, Args: []string{string(a), string(b)}})
	if exitCode(err) == 1 {
		return "", nil
	}
	if err != nil || len(ids) == 0 {
		return "", err
	}
	return ids[0], nil
}

// diff starts git and reads the list of files, so that the statistics are known
// before the first text.
func (s *Service) diff(ctx context.Context, dir string, d *Diff, from core.ObjectID, paths []string, exact bool) error {
	ctx, cancel := limited(ctx, diffTimeout, "the diff")
	pairs := [][2]string{{string(from), string(d.Head)}}
	if len(paths) > 0 {
		pairs = pairs[:0]
		for _, path := range paths {
			pairs = append(pairs, [2]string{string(from) + ":" + path, string(d.Head) + ":" + path})
		}
	}
	if err := s.unfold.CheckDiff(ctx, dir, "compare revisions that are nearer to each other, or name paths", pairs...); err != nil {
		cancel()
		return err
	}
	flags := []string{
		"-r", "-z", "--raw", "--numstat", "--patch", "--full-index", "--find-renames", "-l" + renameLimit,
		// Nothing of the repository's own may run or shape the output.
		"--no-ext-diff", "--no-textconv", "--no-color", "--src-prefix=a/", "--dst-prefix=b/",
	}
	if !exact {
		flags = append(flags, "--ignore-space-change")
	}
	out, err := s.git.Stream(ctx, git.Command{
		Name: "diff-tree", Dir: dir, Flags: flags, Args: []string{string(from), string(d.Head)}, Paths: paths, Env: literal(),
	})
	if err != nil {
		cancel()
		return err
	}
	d.out, d.cancel = out, cancel
	d.patches = newPatchReader(out, exact)
	files, err := d.patches.files()
	if err == nil && d.patches.ended {
		err = out.Wait() // or it died before the first patch: an answer can still be an error
	}
	if err != nil {
		_ = d.Close()
		return err
	}
	d.pendingFiles = files
	d.Stats.Files = len(files)
	for _, f := range files {
		d.Stats.Additions += f.additions
		d.Stats.Deletions += f.deletions
	}
	return nil
}

// Next returns the next file, in git's order; false after the last one.
func (d *Diff) Next() (DiffFile, bool, error) {
	if len(d.pendingFiles) == 0 {
		if d.patches.ahead != nil {
			return DiffFile{}, false, errDiff // of a file that no list has
		}
		return DiffFile{}, false, drain(d.out)
	}
	f, rest := d.pendingFiles[0], d.pendingFiles[1:]
	d.pendingFiles = rest
	file, err := d.patches.file(f)
	return file, err == nil, err
}

// Close ends git.
func (d *Diff) Close() error {
	defer d.cancel()
	return d.out.Close()
}
