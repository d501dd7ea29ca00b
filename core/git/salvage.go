package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// SalvageRefs reads the refs of a repository that git may not read any more, as far
// as there are any: from packed-refs and, over them, the files below refs. What is no
// ref with an id is left out. Errors: of the disk.
func SalvageRefs(dir string) (map[string]core.ObjectID, error) {
	refs := map[string]core.ObjectID{}
	packed, err := os.ReadFile(filepath.Join(dir, "packed-refs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.SplitSeq(string(packed), "\n") {
		id, name, ok := strings.Cut(line, " ")
		if ok && core.ObjectID(id).Valid() && strings.HasPrefix(name, "refs/") {
			refs[name] = core.ObjectID(id)
		}
	}
	err = filepath.WalkDir(filepath.Join(dir, "refs"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".lock") {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if id := core.ObjectID(strings.TrimSpace(string(content))); err == nil && id.Valid() {
			refs[filepath.ToSlash(name)] = id
		}
		return err
	})
	return refs, err
}

// Salvage copies the objects that lead from the tips, and that the refs of to do not
// reach, from one repository into another. It takes over nothing that is damaged:
// index-pack computes each object's id anew, so a tip is only whole afterwards if
// [Git.Complete] says so. An error says that not all of them can be read.
func (g *Git) Salvage(ctx context.Context, from, to string, tips []core.ObjectID) error {
	have, err := g.Refs(ctx, to)
	if err != nil {
		return err
	}
	var revs bytes.Buffer
	for _, tip := range tips {
		fmt.Fprintln(&revs, tip)
	}
	for _, ref := range have {
		fmt.Fprintln(&revs, "^"+string(ref.ID))
	}
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := g.Run(ctx, Command{
			Name: "pack-objects", Dir: to, Check: true, Stdin: &revs, Stdout: w,
			// --revs: standard input has revisions. -q: nobody reads the progress.
			Flags: []string{"--revs", "--stdout", "--delta-base-offset", "-q"},
			Env:   []string{"GIT_ALTERNATE_OBJECT_DIRECTORIES=" + quoteAlternate(filepath.Join(from, "objects"))},
		})
		// An end that is none makes index-pack fail as well.
		w.CloseWithError(err)
		packed <- err
	}()
	err = g.Run(ctx, Command{Name: "index-pack", Dir: to, Check: true, Flags: []string{"--stdin"}, Stdin: r, Stdout: io.Discard})
	_ = r.Close()
	if perr := <-packed; perr != nil {
		return perr
	}
	return err
}

// quoteAlternate writes a path for GIT_ALTERNATE_OBJECT_DIRECTORIES, whose entries a
// colon ends unless they are quoted, see git(1).
func quoteAlternate(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
}
