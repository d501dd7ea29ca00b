package content

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
	"github.com/headwater-git/headwater/core/git/treeobject"
	"github.com/headwater-git/headwater/core/limit"
)

const (
	// maxConflictFiles is of how many files a preview shows contents.
	maxConflictFiles = 20
	// maxConflictText is how much it shows of each version, in bytes.
	maxConflictText = 64 << 10
	// maxConflictBlob is up to which size a version is looked into at all.
	maxConflictBlob = 32 << 20
)

// MergeResult is what merging would do, in the words of the API.
type MergeResult string

// The results of merges.
const (
	MergeCommit MergeResult = "merge_commit"
	FastForward MergeResult = "fast_forward"
	NoOp        MergeResult = "no_op"
)

// MergePreviewRequest asks what merging source into target would do.
type MergePreviewRequest struct {
	Source, Target At
	Contents       bool // also of conflicts
	AllowUnrelated bool // histories without a common commit
}

// MergePreview is the answer.
type MergePreview struct {
	Result         MergeResult
	SourceTip      core.ObjectID
	TargetTip      core.ObjectID
	MergeBase      core.ObjectID // "" for unrelated histories
	Conflicts      []string      // paths, sorted; none means a clean merge
	Contents       []MergeConflict
	Filtered       []FilteredConflict
	SourceName     string
	TargetBranch   string
	ContentsWanted bool
}

// MergeConflict is the four versions of a file in conflict.
type MergeConflict struct {
	Path   string
	Result ConflictVersion // with conflict markers
	Base   ConflictVersion
	Ours   ConflictVersion // the target's
	Theirs ConflictVersion // the source's
}

// ConflictVersion is one version of a file. One that does not exist is zero.
type ConflictVersion struct {
	ID        core.ObjectID
	Content   string // at most 64 KiB
	Truncated bool
	Binary    bool // then there is no content
}

// FilteredConflict is a conflict whose contents are not shown.
type FilteredConflict struct{ Path, Reason string }

// PreviewMerge finds out what merging would do. It moves no ref and leaves no
// object. Errors: KindInvalid, KindNotFound; KindConflict for unrelated
// histories unless they are allowed.
func (s *Service) PreviewMerge(ctx context.Context, repo core.Repository, r MergePreviewRequest) (MergePreview, error) {
	if r.Source.Ref == "" || r.Target.Ref == "" {
		return MergePreview{}, core.Errorf(core.KindInvalid, "name a source and a target branch")
	}
	dir, source, err := s.open(ctx, repo, r.Source)
	if err != nil {
		return MergePreview{}, err
	}
	target, err := s.resolve(ctx, dir, repo, r.Target)
	if err != nil {
		return MergePreview{}, err
	}
	p := MergePreview{
		Result: MergeCommit, SourceTip: source.Commit, TargetTip: target.Commit, SourceName: source.Name, TargetBranch: target.Name,
		ContentsWanted: r.Contents,
	}
	if p.MergeBase, err = s.mergeBase(ctx, dir, target.Commit, source.Commit); err != nil {
		return MergePreview{}, err
	}
	switch p.MergeBase {
	case p.SourceTip:
		p.Result = NoOp
		return p, nil
	case p.TargetTip:
		p.Result = FastForward
		return p, nil
	case "":
		if !r.AllowUnrelated {
			return MergePreview{}, core.Errorf(core.KindConflict, "the two branches have no commit in common")
		}
	}
	return p, s.mergeTree(ctx, dir, &p, r)
}

// mergeTree merges in a folder of its own for the objects that this makes.
func (s *Service) mergeTree(ctx context.Context, dir string, p *MergePreview, r MergePreviewRequest) (err error) {
	objects, err := os.MkdirTemp(s.temp, "merge-preview-")
	if err != nil {
		return fmt.Errorf("preview merge: %w", err)
	}
	defer func() {
		if e := os.RemoveAll(objects); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}()
	ctx, cancel := limited(ctx, mergeTimeout, "the merge")
	defer cancel()
	done, err := limit.Work(ctx)
	if err != nil {
		return err
	}
	defer done()
	base := p.MergeBase
	if base == "" {
		base = treeobject.Empty(p.TargetTip)
	}
	// A merge goes into every folder that one of the sides changed.
	if err := s.unfold.CheckDiff(ctx, dir, "merge in smaller steps", [2]string{string(base), string(p.SourceTip)}, [2]string{string(base), string(p.TargetTip)}); err != nil {
		return err
	}
	env := []string{"GIT_OBJECT_DIRECTORY=" + objects, "GIT_ALTERNATE_OBJECT_DIRECTORIES=" + alternate(filepath.Join(dir, "objects"))}
	flags := []string{"--write-tree", "-z", "--no-messages"}
	if r.AllowUnrelated {
		flags = append(flags, "--allow-unrelated-histories")
	}
	var out bytes.Buffer
	err = s.git.Run(ctx, git.Command{
		Name: "merge-tree", Dir: dir, Flags: flags, Args: []string{string(p.TargetTip), string(p.SourceTip)},
		// What is thrown away need not be flushed to the disk.
		Config: []git.Config{git.Set("core.fsync", "none")},
		Env:    env, Stdout: &out,
	})
	if err == nil {
		return nil
	}
	if exitCode(err) != 1 {
		return err
	}
	tree, conflicts, err := parseMergeTree(out.String())
	if err != nil {
		return err
	}
	for _, c := range conflicts {
		p.Conflicts = append(p.Conflicts, c.Path)
	}
	if !r.Contents {
		return nil
	}
	return s.conflictContents(ctx, dir, env, p, tree, conflicts)
}

// alternate writes a path into GIT_ALTERNATE_OBJECT_DIRECTORIES, where colons
// separate and quotes protect.
func alternate(path string) string {
	if !strings.ContainsAny(path, ":\"\\\n") {
		return path
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(path) + `"`
}

// parseMergeTree reads what "git merge-tree -z --no-messages" says of a merge
// with conflicts: the tree, and up to three versions of each path, sorted.
func parseMergeTree(text string) (tree core.ObjectID, conflicts []MergeConflict, err error) {
	bad := core.Errorf(core.KindInternal, "the output of git merge-tree cannot be read")
	words := strings.Split(strings.TrimRight(text, "\x00"), "\x00")
	tree = core.ObjectID(words[0])
	if !tree.Valid() {
		return "", nil, bad
	}
	at := map[string]int{}
	for _, word := range words[1:] {
		info, path, ok := strings.Cut(word, "\t")
		part := strings.Split(info, " ")
		if !ok || len(part) != 3 || !core.ObjectID(part[1]).Valid() {
			return "", nil, bad
		}
		i, known := at[path]
		if !known {
			i = len(conflicts)
			at[path] = i
			conflicts = append(conflicts, MergeConflict{Path: path})
		}
		switch version := (ConflictVersion{ID: core.ObjectID(part[1])}); part[2] {
		case "1":
			conflicts[i].Base = version
		case "2":
			conflicts[i].Ours = version
		case "3":
			conflicts[i].Theirs = version
		default:
			return "", nil, bad
		}
	}
	slices.SortFunc(conflicts, func(a, b MergeConflict) int { return strings.Compare(a.Path, b.Path) })
	return tree, conflicts, nil
}

// conflictContents fills in the contents of the first conflicts.
func (s *Service) conflictContents(ctx context.Context, dir string, env []string, p *MergePreview, tree core.ObjectID, conflicts []MergeConflict) error {
	cat, err := catfile.Open(ctx, s.git, dir, env...)
	if err != nil {
		return err
	}
	defer cat.Close()
	for i, c := range conflicts {
		if i >= maxConflictFiles {
			p.Filtered = append(p.Filtered, FilteredConflict{c.Path, "max_conflict_files_exceeded"})
			continue
		}
		result, err := cat.Info(ctx, string(tree)+":"+c.Path)
		if err != nil {
			return err
		}
		c.Result.ID = result[0].ID
		for _, v := range []*ConflictVersion{&c.Result, &c.Base, &c.Ours, &c.Theirs} {
			if err := readVersion(ctx, cat, v); err != nil {
				return err
			}
		}
		p.Contents = append(p.Contents, c)
	}
	return nil
}

// readVersion fills in the content of a version that exists.
func readVersion(ctx context.Context, cat *catfile.Reader, v *ConflictVersion) error {
	if v.ID == "" {
		return nil
	}
	info, err := cat.Info(ctx, string(v.ID))
	if err != nil {
		return err
	}
	switch {
	case info[0].Type != "blob": // a submodule's commit, or a folder in the way
		return nil
	case info[0].Size > maxConflictBlob:
		v.Truncated = true
		return nil
	}
	objects, err := cat.Contents(ctx, maxConflictBlob, string(v.ID))
	if err != nil {
		return err
	}
	data := objects[0].Data
	// git's own rule, too: a NUL early on means binary.
	if v.Binary = bytes.IndexByte(data[:min(len(data), 8000)], 0) >= 0; v.Binary {
		return nil
	}
	v.Truncated = len(data) > maxConflictText
	v.Content = text(string(data), maxConflictText)
	return nil
}
