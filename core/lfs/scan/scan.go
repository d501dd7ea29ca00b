// Package scan finds the LFS pointers of a repository: those that new commits brought, or
// those of one tree.
//
// A repository whose new trees hold no .gitattributes with the filter of LFS costs one
// question to a git that runs already, and one walk of a tree for each new tip. Else
// git rev-list names the new blobs that are small enough for a pointer, and those are read
// through the same pool. Nothing is kept between two scans.
package scan

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
	"github.com/headwater-git/headwater/core/lfs"
)

const (
	// batch is how many blobs are read with one question.
	batch = 512
	// maxAttributes is how much of a .gitattributes is read, in bytes.
	maxAttributes = 4 << 20
	// maxTrees is how many new tips are looked through for a .gitattributes below their
	// top; of more, the one at the top counts alone.
	maxTrees = 32
)

// Found is a pointer in a repository.
type Found struct {
	lfs.Pointer
	// Path is where it is, or one of the places. A path with a newline ends before it.
	Path string
	Blob core.ObjectID
}

// Scanner finds pointers. It is safe for concurrent use.
type Scanner struct {
	git     *git.Git
	objects *catfile.Pool
}

// New returns a scanner.
func New(g *git.Git, objects *catfile.Pool) *Scanner { return &Scanner{git: g, objects: objects} }

// Uses reports whether the tree of one of the commits, or tags of them, holds a
// .gitattributes that names the filter of LFS. dir is the folder of the repository.
func (s *Scanner) Uses(ctx context.Context, dir string, tips []core.ObjectID) (bool, error) {
	var below []core.ObjectID
	for part := range slices.Chunk(tips, batch) {
		names := make([]string, len(part))
		for i, tip := range part {
			names[i] = string(tip) + ":.gitattributes"
		}
		uses, err := s.anyUses(ctx, dir, names)
		if uses || err != nil {
			return uses, err
		}
		for _, tip := range part {
			if len(below) < maxTrees {
				below = append(below, tip)
			}
		}
	}
	trees, err := s.trees(ctx, dir, below)
	if err != nil {
		return false, err
	}
	for _, tree := range trees {
		var ids []string
		err := s.list(ctx, dir, tree, false, func(id core.ObjectID, path string) error {
			if strings.HasSuffix(path, "/.gitattributes") {
				ids = append(ids, string(id))
			}
			return nil
		})
		if err != nil {
			return false, err
		}
		for part := range slices.Chunk(ids, batch) {
			if uses, err := s.anyUses(ctx, dir, part); uses || err != nil {
				return uses, err
			}
		}
	}
	return false, nil
}

// anyUses reads .gitattributes by their names.
func (s *Scanner) anyUses(ctx context.Context, dir string, names []string) (uses bool, err error) {
	objects, err := s.objects.Contents(ctx, dir, maxAttributes, names...)
	if core.KindOf(err) == core.KindTooLarge {
		return true, nil // nobody knows, and to look costs less than to miss some
	}
	if err != nil {
		return false, err
	}
	for _, o := range objects {
		if o.Type == "blob" && namesFilter(o.Data) {
			return true, nil
		}
	}
	return false, nil
}

// namesFilter reports whether a .gitattributes gives any path the filter.
func namesFilter(attributes []byte) bool {
	for line := range bytes.Lines(attributes) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		for _, word := range bytes.Fields(line) {
			if string(word) == "filter=lfs" {
				return true
			}
		}
	}
	return false
}

// trees returns the trees of commits and of tags of them, each once.
func (s *Scanner) trees(ctx context.Context, dir string, tips []core.ObjectID) ([]core.ObjectID, error) {
	if len(tips) == 0 {
		return nil, nil
	}
	names := make([]string, len(tips))
	for i, tip := range tips {
		names[i] = string(tip) + "^{tree}"
	}
	objects, err := s.objects.Info(ctx, dir, names...)
	if err != nil {
		return nil, err
	}
	var out []core.ObjectID
	known := map[core.ObjectID]bool{}
	for _, o := range objects {
		if o.Found() && !known[o.ID] {
			known[o.ID] = true
			out = append(out, o.ID)
		}
	}
	return out, nil
}

// New calls found with the pointers of what can be reached from tips and not from known,
// some at a time, in no order; an error of found ends the scan. It looks only if [Scanner.Uses]
// of the tips: uses is what that says. Ids in known that are gone count for nothing.
func (s *Scanner) New(ctx context.Context, dir string, tips, known []core.ObjectID, found func([]Found) error) (uses bool, err error) {
	if len(tips) == 0 {
		return false, nil
	}
	uses, err = s.Uses(ctx, dir, tips)
	if err != nil || !uses {
		return uses, err
	}
	return true, s.walk(ctx, dir, tips, known, found)
}

// All is [Scanner.New] for all that can be reached from tips, without [Scanner.Uses].
func (s *Scanner) All(ctx context.Context, dir string, tips []core.ObjectID, found func([]Found) error) error {
	if len(tips) == 0 {
		return nil
	}
	return s.walk(ctx, dir, tips, nil, found)
}

// walk calls found with the pointers of what can be reached from tips and not from known.
func (s *Scanner) walk(ctx context.Context, dir string, tips, known []core.ObjectID, found func([]Found) error) error {
	var in strings.Builder
	for _, tip := range tips {
		in.WriteString(string(tip) + "\n")
	}
	for _, id := range known {
		in.WriteString("^" + string(id) + "\n")
	}
	out, err := s.git.Stream(ctx, git.Command{
		Name: "rev-list", Dir: dir, Background: true, Stdin: strings.NewReader(in.String()),
		Flags: []string{
			"--objects",
			// Old tips may have been collected. It counts for what is read after it.
			"--ignore-missing", "--stdin",
			// Blobs alone, and only those of fewer bytes.
			"--filter=object:type=blob", "--filter=blob:limit=1024",
			// Tips are named whatever the filters are, unless it says this.
			"--filter-provided-objects",
		},
	})
	if err != nil {
		return err
	}
	defer out.Close() //nolint:errcheck // read to its end, or of no use
	r := s.reading(ctx, dir, found)
	lines := bufio.NewReaderSize(out, 64<<10)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			if err := out.Wait(); err != nil {
				return err
			}
			return r.flush()
		}
		if err != nil {
			return err
		}
		id, path, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if !ok {
			continue // a tag of a blob: no file
		}
		if err := r.add(core.ObjectID(id), path); err != nil {
			return err
		}
	}
}

// Tree is [Scanner.New] for all that the tree of one commit holds, without [Scanner.Uses].
func (s *Scanner) Tree(ctx context.Context, dir string, tip core.ObjectID, found func([]Found) error) error {
	trees, err := s.trees(ctx, dir, []core.ObjectID{tip})
	if err != nil {
		return err
	}
	for _, tree := range trees {
		r := s.reading(ctx, dir, found)
		if err := s.list(ctx, dir, tree, true, r.add); err != nil {
			return err
		}
		if err := r.flush(); err != nil {
			return err
		}
	}
	return nil
}

// list calls f with the regular files of a tree; with small, of those that may be pointers.
func (s *Scanner) list(ctx context.Context, dir string, tree core.ObjectID, small bool, f func(id core.ObjectID, path string) error) error {
	flags := []string{"-r", "-z", "--full-tree"}
	if small {
		flags = append(flags, "--long") // the sizes
	}
	out, err := s.git.Stream(ctx, git.Command{Name: "ls-tree", Dir: dir, Flags: flags, Args: []string{string(tree)}, Background: true})
	if err != nil {
		return err
	}
	defer out.Close() //nolint:errcheck // read to its end, or of no use
	entries := bufio.NewReaderSize(out, 64<<10)
	for {
		entry, err := entries.ReadString(0)
		if errors.Is(err, io.EOF) {
			return out.Wait()
		}
		if err != nil {
			return err
		}
		about, path, _ := strings.Cut(strings.TrimSuffix(entry, "\x00"), "\t")
		words := strings.Fields(about)
		// Symbolic links and submodules are no files of LFS.
		if len(words) < 3 || !strings.HasPrefix(words[0], "100") || small && !mayBePointer(words) {
			continue
		}
		if err := f(core.ObjectID(words[2]), path); err != nil {
			return err
		}
	}
}

// mayBePointer reports whether an entry of ls-tree --long has the size of a pointer: at
// most three digits, or 1000 to 1023.
func mayBePointer(words []string) bool {
	if len(words) < 4 {
		return false
	}
	size := words[3]
	return len(size) < 4 || len(size) == 4 && size < "1024"
}

// reading reads blobs, some at a time, and hands on those that are pointers.
type reading struct {
	s     *Scanner
	ctx   context.Context //nolint:containedctx // of one scan
	dir   string
	found func([]Found) error
	ids   []string
	paths []string
}

func (s *Scanner) reading(ctx context.Context, dir string, found func([]Found) error) *reading {
	return &reading{s: s, ctx: ctx, dir: dir, found: found}
}

func (r *reading) add(id core.ObjectID, path string) error {
	r.ids, r.paths = append(r.ids, string(id)), append(r.paths, path)
	if len(r.ids) < batch {
		return nil
	}
	return r.flush()
}

func (r *reading) flush() error {
	if len(r.ids) == 0 {
		return nil
	}
	objects, err := r.s.objects.Contents(r.ctx, r.dir, lfs.MaxPointer, r.ids...)
	if err != nil {
		return err
	}
	var all []Found
	for i, o := range objects {
		if p, err := lfs.ParsePointer(o.Data); err == nil && o.Type == "blob" {
			all = append(all, Found{Pointer: p, Path: r.paths[i], Blob: o.ID})
		}
	}
	r.ids, r.paths = r.ids[:0], r.paths[:0]
	if len(all) == 0 {
		return nil
	}
	return r.found(all)
}
