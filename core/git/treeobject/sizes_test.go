package treeobject

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
	"github.com/headwater-git/headwater/core/git/internal/gittest"
)

func newPool(t *testing.T) *catfile.Pool {
	t.Helper()
	g, err := git.New(t.Context(), git.Options{})
	require.NoError(t, err)
	p := catfile.NewPool(g, catfile.Options{})
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// treeBomb writes a tree of so many levels, each with n entries that are the
// level below, and returns the ids from the top.
func treeBomb(t *testing.T, dir, leaf string, levels, n int) []string {
	t.Helper()
	ids := []string{leaf}
	for level := range levels {
		kind := "040000 tree"
		if level == 0 {
			kind = "100644 blob"
		}
		lines := make([]string, n)
		for i := range lines {
			lines[i] = fmt.Sprintf("%s %s\t%c", kind, ids[0], 'a'+i)
		}
		ids = append([]string{gittest.WriteTree(t, dir, lines...)}, ids...)
	}
	return ids
}

// countedTrees counts how many trees are read.
type countedTrees struct {
	*catfile.Pool
	trees int
}

func (c *countedTrees) Contents(ctx context.Context, dir string, limit int64, names ...string) ([]catfile.Object, error) {
	c.trees += len(names)
	return c.Pool.Contents(ctx, dir, limit, names...)
}

// unfolded is what git itself lists of a tree or of a comparison.
func unfolded(t *testing.T, dir string, args ...string) (s treeSize) {
	t.Helper()
	for path := range strings.SplitSeq(gittest.Run(t, dir, args...), "\n") {
		if path != "" {
			s.entries++
			s.paths += int64(len(path))
			s.depth = max(s.depth, int32(strings.Count(path, "/")))
		}
	}
	return s
}

func TestSizes_areWhatGitUnfolds(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"sha1", "sha256"} {
		dir := gittest.NewBare(t, "--object-format="+format)
		b := newPool(t)
		x, y := gittest.AddBlob(t, dir, "x"), gittest.AddBlob(t, dir, "y")
		deep := gittest.WriteTree(t, dir, "100644 blob "+x+"\tfile", "120000 blob "+y+"\tlink")
		for range 20 {
			deep = gittest.WriteTree(t, dir, "100644 blob "+x+"\ta", "040000 tree "+deep+"\tsome folder", "160000 commit "+strings.Repeat("1", len(x))+"\tmodule")
		}
		var many []string
		for i := range 40 {
			many = append(many, fmt.Sprintf("040000 tree %s\t%c%d", gittest.WriteTree(t, dir, fmt.Sprintf("100644 blob %s\t%d", x, i)), 'a'+i%7, i))
		}
		one := gittest.WriteTree(t, dir, append(many, "040000 tree "+deep+"\tdeep", "100644 blob "+x+"\tname", "040000 tree "+gittest.WriteTree(t, dir, many[:20]...)+"\tname-2")...)
		two := gittest.WriteTree(t, dir, append(many[3:], "040000 tree "+deep+"\tdeep-too", "040000 tree "+deep+"\tname", "100755 blob "+x+"\tnamf",
			"040000 tree "+gittest.WriteTree(t, dir, many[1:]...)+"\tname-2")...)
		empty := gittest.WriteTree(t, dir)
		for _, pair := range [][2]string{{one, two}, {two, one}, {empty, one}, {one, empty}, {empty, empty}, {one, one}} {
			w := NewSizes(b, Limits{}).walk(dir)
			size, err := w.pair(t.Context(), core.ObjectID(pair[0]), core.ObjectID(pair[1]), 0)
			require.NoError(t, err)
			git := unfolded(t, dir, "diff-tree", "-r", "-t", "--no-renames", "--name-only", pair[0], pair[1])
			// git lists a folder that becomes a file once, here it is both.
			require.LessOrEqual(t, git.entries, size.entries)
			require.LessOrEqual(t, size.entries, git.entries+1)
			require.Equal(t, git.depth, size.depth)
			size, err = w.whole(t.Context(), core.ObjectID(pair[1]), 0)
			require.NoError(t, err)
			require.Equal(t, unfolded(t, dir, "ls-tree", "-r", "-t", "--name-only", pair[1]), size)
		}
	}
}

func TestSizes_refuseWhatUnfoldsTooFar(t *testing.T) {
	t.Parallel()
	dir := gittest.NewBare(t)
	b := newPool(t)
	leaf, other := gittest.AddBlob(t, dir, "x"), gittest.AddBlob(t, dir, "y")
	bomb, second := treeBomb(t, dir, leaf, 12, 10), treeBomb(t, dir, other, 12, 10)
	vast := treeBomb(t, dir, leaf, 50, 26) // more than any number holds
	deep := leaf
	for i := range 62 {
		deep = gittest.WriteTree(t, dir, map[bool]string{true: "100644 blob ", false: "040000 tree "}[i == 0]+deep+"\ta")
	}
	long := gittest.WriteTree(t, dir, "100644 blob "+leaf+"\tf")
	for range 10 {
		long = gittest.WriteTree(t, dir, "040000 tree "+long+"\t"+strings.Repeat("n", 4000), "040000 tree "+long+"\t"+strings.Repeat("m", 4000))
	}
	aside := gittest.WriteTree(t, dir, "040000 tree "+bomb[0]+"\tbomb", "100644 blob "+leaf+"\tf")
	aside2 := gittest.WriteTree(t, dir, "040000 tree "+bomb[0]+"\tbomb", "100644 blob "+other+"\tf")
	commit := gittest.Run(t, dir, "commit-tree", "-m", "m", bomb[0])
	read := &countedTrees{Pool: b}
	sizes := NewSizes(read, Limits{Depth: 60})
	limited := NewSizes(b, Limits{Entries: 20_000})

	refused := func(err error, text string) {
		t.Helper()
		require.Equal(t, core.KindTooLarge, core.KindOf(err), "%v", err)
		require.Equal(t, text+"; ask for less", core.MessageOf(err))
	}
	check := func(names ...string) error { return sizes.Check(t.Context(), dir, "ask for less", names...) }
	tooMany := "this unfolds to more than 1000000 files and folders"
	refused(check(bomb[0]), tooMany)
	require.Equal(t, 12, read.trees, "each distinct tree once")
	refused(check(commit), tooMany)
	refused(check(bomb[0]), tooMany)
	refused(check(bomb[5]), tooMany)
	require.Equal(t, 12, read.trees, "none again")
	require.NoError(t, check(bomb[7], bomb[8], leaf, commit+":a/a/a/a/a/a/a/b", "missing"), "what is within it may be read")
	refused(check(leaf, vast[0]), tooMany)
	refused(check(aside), tooMany)
	refused(check(deep), "folders are nested more than 60 deep here")
	refused(check(gittest.WriteTree(t, dir, "040000 tree "+deep+"\tx")), "folders are nested more than 60 deep here")
	require.NoError(t, check(long))
	refused(limited.Check(t.Context(), dir, "ask for less", long), "the paths of this are longer than 5120000 bytes together")

	diff := func(from, to string) error {
		return sizes.CheckDiff(t.Context(), dir, "ask for less", [2]string{from, to})
	}
	require.NoError(t, diff(aside, aside2), "what is equal is not unfolded")
	require.NoError(t, diff(bomb[0], commit))
	refused(diff(bomb[0], second[0]), tooMany)
	refused(diff(gittest.WriteTree(t, dir), commit), tooMany)
	refused(diff(vast[0], leaf), tooMany)
	refused(diff(aside, gittest.WriteTree(t, dir, "100644 blob "+leaf+"\tf")), tooMany)
	refused(diff(deep, commit+":missing"), "folders are nested more than 60 deep here")
}

func TestSizes_aTreeOfManyEntries(t *testing.T) {
	t.Parallel()
	dir := gittest.NewBare(t)
	b := newPool(t)
	leaf := gittest.AddBlob(t, dir, "x")
	lines := make([]string, 9000)
	for i := range lines {
		lines[i] = fmt.Sprintf("100644 blob %s\t%05d", leaf, i)
	}
	flat := gittest.WriteTree(t, dir, lines...)
	sizes := NewSizes(b, Limits{Entries: 4000})
	require.Equal(t, core.KindTooLarge, core.KindOf(sizes.Check(t.Context(), dir, "", flat)))
	require.Equal(t, core.KindTooLarge, core.KindOf(sizes.CheckDiff(t.Context(), dir, "", [2]string{flat, gittest.WriteTree(t, dir, lines[1:]...)})), "nothing is cheap about it")
	require.NoError(t, NewSizes(b, Limits{Entries: 9001}).Check(t.Context(), dir, "", flat))
}

// TestSizes_rememberALargeRepository holds what a new commit of a large
// repository costs: the trees that it changed.
func TestSizes_rememberALargeRepository(t *testing.T) {
	t.Parallel()
	dir := gittest.NewBare(t)
	b := newPool(t)
	leaf := gittest.AddBlob(t, dir, "x")
	var top []string
	for i := range 60 {
		top = append(top, fmt.Sprintf("040000 tree %s\t%d", gittest.WriteTree(t, dir, fmt.Sprintf("100644 blob %s\t%d", leaf, i)), i))
	}
	read := &countedTrees{Pool: b}
	sizes := NewSizes(read, Limits{})
	require.NoError(t, sizes.Check(t.Context(), dir, "", gittest.WriteTree(t, dir, top...)))
	require.Equal(t, 61, read.trees)
	top[7] = "040000 tree " + gittest.WriteTree(t, dir, "100644 blob "+leaf+"\tnew") + "\t7"
	next := gittest.WriteTree(t, dir, top...)
	require.NoError(t, sizes.Check(t.Context(), dir, "", next))
	require.Equal(t, 63, read.trees)
	// It forgets what was not asked for during two generations.
	for i := range 2*treeMemory + 1 {
		sizes.remember(treeKey{byte(i), byte(i >> 8), byte(i >> 16), 1}, treeSize{})
	}
	require.LessOrEqual(t, len(sizes.young)+len(sizes.old), 2*treeMemory)
	require.NoError(t, sizes.Check(t.Context(), dir, "", next))
	require.Equal(t, 63+61, read.trees)
}
