package commit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
	"github.com/headwater-git/headwater/core/git/hosterror"
)

// CommitDiff makes a commit from a patch, which must apply as it does for
// "git apply --cached --binary". Errors: KindConflict, in git's words, if it
// does not apply; KindInvalid if it is no patch or changes nothing; else as
// [Service.CommitFiles].
func (s *Service) CommitDiff(ctx context.Context, c Commit, chunks Chunks) (Result, error) {
	if err := s.ready(ctx, &c); err != nil {
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
		return s.applyPatch(ctx, s.repos.Path(c.Repo.ID), p, base, &patch)
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
// its own, and returns the new tree; its objects go into the pack.
func (s *Service) applyPatch(ctx context.Context, dir string, p *pack, base core.ObjectID, patch *spool) (core.ObjectID, error) {
	q, err := s.newQuarantine(dir)
	if err != nil {
		return "", err
	}
	defer q.close() //nolint:errcheck // the next start removes what is left
	if base != "" {
		// An index lists every file of the tree.
		if err := s.unfold.Check(ctx, dir, "send the files themselves instead of a diff", string(base)); err != nil {
			return "", err
		}
		if _, err := s.outputIn(ctx, q, git.Command{Name: "read-tree", Args: []string{string(base)}}); err != nil {
			return "", fmt.Errorf("read the base: %w", err)
		}
	}
	if _, err := s.outputIn(ctx, q, git.Command{Name: "apply", Flags: []string{"--cached", "--binary", "--whitespace=nowarn"}, Stdin: patch.reader()}); err != nil {
		return "", patchError(err)
	}
	out, err := s.outputIn(ctx, q, git.Command{Name: "write-tree"})
	if err != nil {
		return "", fmt.Errorf("write the tree: %w", err)
	}
	tree := core.ObjectID(bytes.TrimSpace(out))
	if tree == base {
		return tree, nil
	}
	// What the patch touched is checked as what other commits bring.
	changed := git.Command{Name: "diff-tree", Flags: []string{"-r", "-z", "--no-renames", "--no-abbrev", "--diff-filter=d"}, Args: []string{string(base), string(tree)}}
	if base == "" {
		changed = git.Command{Name: "ls-tree", Flags: []string{"-r", "-z"}, Args: []string{string(tree)}}
	}
	if out, err = s.outputIn(ctx, q, changed); err != nil {
		return "", fmt.Errorf("compare trees: %w", err)
	}
	var links []string
	for _, e := range touched(out) {
		if _, err := CleanPath(e.path); err != nil {
			return "", err
		}
		p.checkFile(e.path, core.ObjectID(e.id))
		if e.mode == modeSymlink {
			links = append(links, e.id)
		}
	}
	if err := s.checkTargets(ctx, dir, q, links); err != nil {
		return "", err
	}
	return tree, q.collect(p)
}

// touchedEntry is a file as a patch left it.
type touchedEntry struct{ mode, id, path string }

// touched reads the output of "diff-tree -z" (":mode mode id id status", then
// the path) or of "ls-tree -z" ("mode type id", a tab, the path).
func touched(out []byte) []touchedEntry {
	var all []touchedEntry
	fields := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	for i := 0; i < len(fields); i++ {
		head, path, listed := strings.Cut(fields[i], "\t")
		words := strings.Fields(head)
		switch {
		case listed && len(words) == 3:
			all = append(all, touchedEntry{words[0], words[2], path})
		case len(words) == 5 && i+1 < len(fields):
			i++
			all = append(all, touchedEntry{words[1], words[3], fields[i]})
		}
	}
	return all
}

// checkTargets checks blobs that are targets of symlinks. Errors: KindInvalid.
func (s *Service) checkTargets(ctx context.Context, dir string, q *quarantine, blobs []string) error {
	if len(blobs) == 0 {
		return nil
	}
	cat, err := catfile.Open(ctx, s.git, dir, q.env...)
	if err != nil {
		return err
	}
	defer cat.Close() //nolint:errcheck // a complaint was the error of the query
	objects, err := cat.Contents(ctx, maxPath, blobs...)
	if err != nil {
		return err
	}
	for _, o := range objects {
		target := o.Data
		if o.Size > maxPath {
			target = make([]byte, maxPath+1) // its content was not read
		}
		if err := checkTarget(target); err != nil {
			return err
		}
	}
	return nil
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
			lines = append(lines, hosterror.Redact(line))
		}
	}
	if len(lines) > 0 {
		reason += ": " + strings.Join(lines, "; ")
	}
	return &core.Error{Kind: kind, Message: reason, Err: err}
}
