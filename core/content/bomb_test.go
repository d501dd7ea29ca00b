package content

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// bomb writes a tree of so many levels of ten equal entries around a blob.
func (f *fixture) bomb(levels int, leaf string) string {
	f.tb.Helper()
	id := f.input(leaf, "hash-object", "-w", "--stdin")
	for level := range levels {
		kind := "040000 tree"
		if level == 0 {
			kind = "100644 blob"
		}
		var lines strings.Builder
		for i := range 10 {
			fmt.Fprintf(&lines, "%s %s\t%d\n", kind, id, i)
		}
		id = f.input(lines.String(), "mktree")
	}
	return id
}

// bombs makes the branches "base", with a file, and "bomb" on top of it, with a
// thousand million files more, and "other" beside that.
func (f *fixture) bombs() {
	f.tb.Helper()
	base := f.commit("base", "file", "x\n")
	f.run("branch", "base")
	file := f.run("rev-parse", "main:file")
	for branch, leaf := range map[string]string{"bomb": "x\n", "other": "y\n"} {
		small := f.bomb(3, leaf)
		tree := f.input(fmt.Sprintf("040000 tree %s\tbomb\n040000 tree %s\tsmall\n100644 blob %s\tfile\n", f.bomb(12, leaf), small, file), "mktree")
		f.run("update-ref", "refs/heads/"+branch, f.run("commit-tree", "-p", string(base), "-m", branch, tree))
	}
	// The same bomb, and one line of difference beside it.
	more := f.input("z\n", "hash-object", "-w", "--stdin")
	tree := f.input(fmt.Sprintf("%s\n100644 blob %s\tnew\n", f.run("ls-tree", "bomb"), more), "mktree")
	f.run("update-ref", "refs/heads/next", f.run("commit-tree", "-p", "bomb", "-m", "next", tree))
}

// TestService_treeBombs asks every read that unfolds trees for more than any
// machine has: it is refused before git starts, and says how to ask for less,
// which is answered.
func TestService_treeBombs(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	f.bombs()
	diff := func(ctx context.Context, head, base string, paths ...string) error {
		d, err := f.CommitDiff(ctx, f.repo, CommitDiffRequest{Head: at(head), Base: at(base), Paths: paths})
		if err == nil {
			d.all(t)
		}
		return err
	}
	archive := func(ctx context.Context, globs ...string) error {
		a, err := f.OpenArchive(ctx, f.repo, ArchiveRequest{At: at("bomb"), IncludeGlobs: globs})
		return closed(a, err)
	}
	grep := func(ctx context.Context, paths ...string) error {
		_, err := f.Grep(ctx, f.repo, GrepRequest{At: at("bomb"), Pattern: "x", Paths: paths})
		return err
	}
	files := func(ctx context.Context, path string, oneDeep, metadata bool) error {
		files, err := f.Files(ctx, f.repo, FilesRequest{At: at("bomb"), Path: path, OneDeep: oneDeep, Limit: 100})
		if err == nil && metadata {
			_, _, err = files.Metadata(ctx, func(FileMetadata) error { return nil })
		} else if err == nil {
			_, err = files.Walk(ctx, func(Entry) error { return nil })
		}
		return err
	}
	merge := func(ctx context.Context, source, target string) error {
		_, err := f.PreviewMerge(ctx, f.repo, MergePreviewRequest{Source: at(source), Target: at(target)})
		return err
	}
	type read struct {
		name   string
		narrow string // "" is answered
		run    func(ctx context.Context) error
	}
	nearer, folder := "compare revisions that are nearer to each other, or name paths", "list a folder of it by its path"
	for _, r := range []read{
		{"diff", nearer, func(ctx context.Context) error { return diff(ctx, "bomb", "base") }},
		{"diff of two", nearer, func(ctx context.Context) error { return diff(ctx, "bomb", "other") }},
		{"diff with the parent", nearer, func(ctx context.Context) error { return diff(ctx, "bomb", "") }},
		{"diff of a path", nearer, func(ctx context.Context) error { return diff(ctx, "bomb", "base", "file", "bomb") }},
		{"diff of other paths", "", func(ctx context.Context) error { return diff(ctx, "bomb", "base", "file", "small") }},
		{"diff beside it", "", func(ctx context.Context) error { return diff(ctx, "next", "bomb") }},
		{"branch diff", nearer, func(ctx context.Context) error {
			d, err := f.BranchDiff(ctx, f.repo, BranchDiffRequest{Branch: at("bomb"), Base: at("base")})
			return closed(d, err)
		}},
		{"archive", "list the files of a folder and read them one by one, or clone", func(ctx context.Context) error { return archive(ctx) }},
		{"archive of another folder", "list the files of a folder and read them one by one, or clone", func(ctx context.Context) error { return archive(ctx, "small/**") }},
		{"search", "name the paths to search", func(ctx context.Context) error { return grep(ctx) }},
		{"search of paths", "", func(ctx context.Context) error { return grep(ctx, "small", "file") }},
		{"files", folder, func(ctx context.Context) error { return files(ctx, "", false, false) }},
		{"files of a folder", "", func(ctx context.Context) error { return files(ctx, "small", false, false) }},
		{"files one deep", "", func(ctx context.Context) error { return files(ctx, "bomb", true, false) }},
		{"metadata", folder, func(ctx context.Context) error { return files(ctx, "", false, true) }},
		{"metadata one deep", folder, func(ctx context.Context) error { return files(ctx, "", true, true) }},
		{"metadata of a folder", "", func(ctx context.Context) error { return files(ctx, "small", false, true) }},
		{"merge", "merge in smaller steps", func(ctx context.Context) error { return merge(ctx, "bomb", "other") }},
		{"merge beside it", "", func(ctx context.Context) error { return merge(ctx, "next", "bomb") }},
	} {
		// Far more than any of them takes, and far less than unfolding would.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		err := r.run(ctx)
		cancel()
		if r.narrow == "" {
			require.NoError(t, err, r.name)
			continue
		}
		require.Equal(t, core.KindTooLarge, core.KindOf(err), "%s: %v", r.name, err)
		require.Equal(t, "this unfolds to more than 1000000 files and folders; "+r.narrow, core.MessageOf(err), r.name)
	}
}
