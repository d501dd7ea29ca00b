package purge

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/core/git"
)

// garbage is what no ref leads to.
type garbage struct {
	dir   string
	ids   []core.ObjectID
	files []string // with the objects in them, and what writers that died left
}

// unreachable sorts the objects of a repository: what refs lead to into one pack with
// a bitmap, the rest into a pack that it returns with whatever else may go. Nobody may
// write to the repository meanwhile.
func (s *Service) unreachable(ctx context.Context, dir string) (*garbage, error) {
	// An index over several packs names the objects of all, also of one that is about to
	// go; git does without.
	if err := git.RemovePackIndex(dir); err != nil {
		return nil, err
	}
	err := s.o.Git.Run(ctx, git.Command{
		Name: "repack", Dir: dir,
		// --cruft without an expiry puts all that is unreachable, however young, into a
		// pack of its own, loose objects too: -a would drop it before it is written
		// down. Without a bitmap clones would cost more until the next maintenance.
		Flags: []string{"-a", "-d", "--cruft", "--write-bitmap-index", "--quiet"},
	})
	if err != nil {
		return nil, err
	}
	g := &garbage{dir: dir}
	packs := filepath.Join(dir, "objects", "pack")
	entries, err := os.ReadDir(packs)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		base, cruft := strings.CutSuffix(e.Name(), ".mtimes") // only such packs have one
		switch {
		case cruft:
			ids, err := s.indexed(ctx, dir, filepath.Join(packs, base+".idx"))
			if err != nil {
				return nil, err
			}
			g.ids = append(g.ids, ids...)
			// The index first: without it nobody opens the pack.
			for _, ext := range []string{".idx", ".pack", ".rev", ".bitmap", ".mtimes"} {
				g.files = append(g.files, filepath.Join(packs, base+ext))
			}
		case strings.HasPrefix(e.Name(), "tmp_"), strings.HasPrefix(e.Name(), ".tmp-"):
			g.files = append(g.files, filepath.Join(packs, e.Name()))
		}
	}
	return g, g.loose()
}

// loose adds the loose objects, which the repack has left out as unreachable, and the
// temporary files and quarantines of writers that died: no writer is at work.
func (g *garbage) loose() error {
	folders, err := os.ReadDir(filepath.Join(g.dir, "objects"))
	if err != nil {
		return err
	}
	for _, folder := range folders {
		path := filepath.Join(g.dir, "objects", folder.Name())
		if strings.HasPrefix(folder.Name(), "tmp_") {
			g.files = append(g.files, path)
			continue
		}
		if _, err := hex.DecodeString(folder.Name()); err != nil || len(folder.Name()) != 2 {
			continue
		}
		files, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		for _, f := range files {
			if id := core.ObjectID(folder.Name() + f.Name()); id.Valid() {
				g.ids = append(g.ids, id)
			}
			g.files = append(g.files, filepath.Join(path, f.Name()))
		}
	}
	return nil
}

// remove removes it, durably.
func (g *garbage) remove() error {
	folders := map[string]bool{}
	for _, path := range g.files {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		folders[filepath.Dir(path)] = true
	}
	for folder := range folders {
		if err := durable.SyncDir(folder); err != nil {
			return err
		}
	}
	return nil
}

// indexed returns the ids of the objects of a pack from its index.
func (s *Service) indexed(ctx context.Context, dir, path string) (ids []core.ObjectID, err error) {
	index, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, index.Close()) }()
	out, err := s.o.Git.Stream(ctx, git.Command{Name: "show-index", Dir: dir, Stdin: index})
	if err != nil {
		return nil, err
	}
	defer out.Close() //nolint:errcheck // read to its end, or of no use
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		// offset, id, checksum: see git-show-index(1)
		_, rest, _ := strings.Cut(lines.Text(), " ")
		id, _, _ := strings.Cut(rest, " ")
		ids = append(ids, core.ObjectID(id))
	}
	return ids, errors.Join(lines.Err(), out.Wait())
}

// reachable lists the ids of what the tips lead to and no ref does.
func reachable(dir string, tips []core.ObjectID) git.Command {
	var in strings.Builder
	for _, tip := range tips {
		in.WriteString(string(tip) + "\n")
	}
	return git.Command{
		Name: "rev-list", Dir: dir, Stdin: strings.NewReader(in.String()),
		// --stdin ends what --not means for the tips.
		Flags: []string{"--objects", "--no-object-names", "--not", "--all", "--not", "--stdin"},
	}
}

// eachID calls f with the id at the beginning of each line.
func eachID(r io.Reader, f func(id core.ObjectID)) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		id, _, _ := strings.Cut(lines.Text(), " ")
		f(core.ObjectID(id))
	}
	return lines.Err()
}

// graph writes the commit graph anew: the one of before names commits that are gone.
func (s *Service) graph(ctx context.Context, dir string) error {
	if err := git.RemoveCommitGraph(dir); err != nil {
		return err
	}
	return s.o.Git.Run(ctx, git.Command{
		Name: "commit-graph", Verb: "write", Dir: dir,
		// As maintenance writes it: --changed-paths are filters that make "log -- path"
		// fast, and --split lets later ones add a layer.
		Flags: []string{"--reachable", "--changed-paths", "--split"},
	})
}

// objectBytes returns how much the objects of a repository take on the disk, as far
// as that can be seen.
func objectBytes(dir string) (total int64) {
	_ = filepath.WalkDir(filepath.Join(dir, "objects"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it is for a person to read: what cannot be seen does not count
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return nil
	})
	return total
}
