package commit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// CommitDiff makes a commit from a patch, which must apply as it does for
// "git apply --cached --binary". Errors: KindConflict, in git's words, if it
// does not apply; KindInvalid if it is no patch or changes nothing; else as
// [Service.CommitFiles].
func (s *Service) CommitDiff(ctx context.Context, c Commit, chunks Chunks) (Result, error) {
	if _, err := s.ready(ctx, c); err != nil {
		return Result{}, err
	}
	patch := spool{dir: s.temp, limit: s.maxSize}
	defer patch.close() //nolint:errcheck // a file that nobody reads again
	if err := takeDiff(&patch, chunks); err != nil {
		return Result{}, err
	}
	p := s.newPack(c.Repo)
	defer p.close()
	return s.advance(ctx, c, p, func(ctx context.Context, base core.ObjectID) (core.ObjectID, error) {
		return s.applyPatch(ctx, c.Repo, p, base, &patch)
	})
}

// takeDiff reads the one content of a diff. Errors: KindInvalid.
func takeDiff(patch *spool, chunks Chunks) error {
	ended, blank := false, true
	for {
		chunk, err := chunks.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if ended {
			return core.Errorf(core.KindInvalid, "the diff goes on after its end")
		}
		ended = chunk.Last
		blank = blank && len(bytes.TrimSpace(chunk.Data)) == 0
		if _, err := patch.Write(chunk.Data); err != nil {
			return err
		}
	}
	switch {
	case !ended:
		return core.Errorf(core.KindInvalid, "the request ends inside of the diff")
	case blank:
		return core.Errorf(core.KindInvalid, "no changes: the diff is empty")
	}
	return nil
}

// applyPatch applies a patch to a tree ("" for an empty one), in an index of
// its own, and returns the new tree. git stores the objects.
func (s *Service) applyPatch(ctx context.Context, r core.Repository, p *pack, base core.ObjectID, patch *spool) (core.ObjectID, error) {
	tmp, err := os.MkdirTemp(s.temp, "api-index-")
	if err != nil {
		return "", fmt.Errorf("make an index: %w", err)
	}
	defer os.RemoveAll(tmp)
	run := func(name string, stdin io.Reader, flags []string, args ...string) ([]byte, error) {
		return s.git.Output(ctx, git.Command{
			Name: name, Dir: s.repos.Path(r.ID), Env: []string{"GIT_INDEX_FILE=" + filepath.Join(tmp, "index")}, Flags: flags, Args: args, Stdin: stdin,
			// Nothing that any file system takes for .git gets into an index.
			Config: []git.Config{git.Set("core.protectHFS", "true"), git.Set("core.protectNTFS", "true")},
		})
	}
	if base != "" {
		if _, err := run("read-tree", nil, nil, string(base)); err != nil {
			return "", fmt.Errorf("read the base: %w", err)
		}
	}
	if _, err := run("apply", patch.reader(), []string{"--cached", "--binary", "--whitespace=nowarn"}); err != nil {
		return "", patchError(err)
	}
	out, err := run("write-tree", nil, nil)
	if err != nil {
		return "", fmt.Errorf("write the tree: %w", err)
	}
	tree := core.ObjectID(bytes.TrimSpace(out))
	if tree == base {
		return tree, nil
	}
	return tree, s.checkTree(ctx, r, p, base, tree)
}

// patchError says why git did not apply a patch.
func patchError(err error) error {
	code, text, ok := exitCode(err)
	if !ok {
		return fmt.Errorf("apply the diff: %w", err)
	}
	kind, reason := core.KindInvalid, "the diff is not valid"
	if code == 1 {
		kind, reason = core.KindConflict, "the diff does not apply"
	}
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "error: ")
		// The name of our standard input says nothing.
		if line != "" && !strings.HasPrefix(line, "<stdin>") && len(lines) < 10 {
			lines = append(lines, git.Redact(line))
		}
	}
	if len(lines) > 0 {
		reason += ": " + strings.Join(lines, "; ")
	}
	return &core.Error{Kind: kind, Message: reason, Err: err}
}

// checkTree checks the paths that a tree has and base has not, or has with
// another content, as those of other commits are checked, and has git look at
// files that git itself reads. A base of "" has nothing.
func (s *Service) checkTree(ctx context.Context, r core.Repository, p *pack, base, tree core.ObjectID) error {
	dir := s.repos.Path(r.ID)
	c := git.Command{Name: "diff-tree", Dir: dir, Flags: []string{"-r", "-z", "--no-renames", "--name-only", "--diff-filter=d"}, Args: []string{string(base), string(tree)}}
	if base == "" {
		c = git.Command{Name: "ls-tree", Dir: dir, Flags: []string{"-r", "-z", "--name-only", "--full-tree"}, Args: []string{string(tree)}}
	}
	out, err := s.git.Output(ctx, c)
	if err != nil {
		return fmt.Errorf("compare trees: %w", err)
	}
	for path := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if path == "" {
			continue
		}
		if _, err := CleanPath(path); err != nil {
			return err
		}
		if !readByGit(path) {
			continue
		}
		// git checks what comes in a pack: the file, and the folder that gives
		// it its meaning.
		folder := path[:max(strings.LastIndexByte(path, '/'), 0)]
		objects, err := s.objects.Contents(ctx, dir, maxTree, string(tree)+":"+folder, string(tree)+":"+path)
		if err != nil {
			return err
		}
		p.strict = true
		for i, t := range []objectType{typeTree, typeBlob} {
			if objects[i].Type != t.String() {
				continue // the commit of a submodule
			}
			if _, err := p.add(t, objects[i].Data); err != nil {
				return err
			}
		}
	}
	return nil
}
