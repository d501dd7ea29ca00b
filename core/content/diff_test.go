package content

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/treeobject"
	"github.com/headwater-git/headwater/core/longtest"
)

// all reads a diff to its end.
func (d *Diff) all(tb testing.TB) []DiffFile {
	tb.Helper()
	defer func() { require.NoError(tb, d.Close()) }()
	var files []DiffFile
	for {
		f, ok, err := d.Next()
		require.NoError(tb, err)
		if !ok {
			return files
		}
		files = append(files, f)
	}
}

// TestService_CommitDiff_applies applies the exact texts of random changes to
// the base tree and compares the trees.
func TestService_CommitDiff_applies(t *testing.T) {
	t.Parallel()
	for seed := range uint64(longtest.Cases(3, 8)) {
		for _, format := range []string{"sha1", "sha256"} {
			if format == "sha256" && seed > 1 {
				continue
			}
			t.Run(fmt.Sprint(format, seed), func(t *testing.T) {
				t.Parallel()
				f := newFixture(t, format)
				r := rand.New(rand.NewPCG(seed, 2))
				base := randomTree(f, r)
				head := randomTree(f, r)
				for _, pair := range [][2]core.ObjectID{{base, head}, {head, base}, {"", base}} {
					request := CommitDiffRequest{Head: at(string(pair[1])), Exact: true, Base: at(string(pair[0]))}
					d, err := f.CommitDiff(t.Context(), f.repo, request)
					require.NoError(t, err)
					require.Equal(t, pair[0], d.Base)
					var patch strings.Builder
					additions, deletions := 0, 0
					for _, file := range d.all(t) {
						require.False(t, file.Filtered, "%q", file.Path)
						require.True(t, file.Whole)
						require.EqualValues(t, len(file.Raw), file.Bytes)
						patch.Write(file.Raw)
						additions += file.Additions
						deletions += file.Deletions
					}
					require.Equal(t, d.Stats.Additions, additions)
					require.Equal(t, d.Stats.Deletions, deletions)
					from := pair[0]
					if from == "" {
						from = treeobject.Empty(pair[1])
					}
					f.run("read-tree", string(from))
					if patch.Len() > 0 {
						f.input(patch.String(), "apply", "--cached", "--whitespace=nowarn", "-")
					}
					require.Equal(t, f.run("rev-parse", string(pair[1])+"^{tree}"), f.run("write-tree"), patch.String())
				}
			})
		}
	}
}

// TestService_CommitDiff_asGitDiff holds the texts without white space against
// what "git diff -b" prints.
func TestService_CommitDiff_asGitDiff(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "sha1")
			r := rand.New(rand.NewPCG(seed, 3))
			base, head := randomTree(f, r), randomTree(f, r)
			d, err := f.CommitDiff(t.Context(), f.repo, CommitDiffRequest{Head: at(string(head)), Base: at(string(base))})
			require.NoError(t, err)
			var got strings.Builder
			for _, file := range d.all(t) {
				require.NotEmpty(t, file.State, "%q", file.Path)
				got.Write(file.Raw)
			}
			require.Equal(t, f.run("diff-tree", "-r", "-p", "-b", "--find-renames", "--full-index", string(base), string(head)), strings.TrimSuffix(got.String(), "\n"))
		})
	}
}

// randomTree commits a random tree of odd names, modes and contents without
// binary ones.
func randomTree(f *fixture, r *rand.Rand) core.ObjectID {
	require.NoError(f.tb, os.RemoveAll(f.work))
	require.NoError(f.tb, os.MkdirAll(f.work, 0o700))
	for _, name := range oddNames {
		name = "t/" + strings.ReplaceAll(name, "a/", "sub/a/")
		path := filepath.Join(f.work, name)
		switch r.IntN(7) {
		case 0:
		case 1:
			require.NoError(f.tb, os.MkdirAll(filepath.Dir(path), 0o700))
			require.NoError(f.tb, os.Symlink("target"+fmt.Sprint(r.IntN(3)), path))
		default:
			var text strings.Builder
			for line := range r.IntN(30) {
				fmt.Fprintf(&text, "line %d%s%d", line, []string{" ", "  ", "\t", "\r"}[r.IntN(4)], r.IntN(3))
				if r.IntN(20) > 0 {
					text.WriteByte('\n')
				}
			}
			f.write(name, text.String())
			if r.IntN(3) == 0 {
				require.NoError(f.tb, os.Chmod(path, 0o700))
			}
		}
	}
	// Equal content under a changing name: a rename.
	f.write(fmt.Sprintf("moved %d/x\ty", r.IntN(1000)), strings.Repeat("the same line\n", 30))
	f.run("update-ref", "-d", "refs/heads/main")
	f.run("read-tree", "--empty")
	f.run("add", "--all")
	f.run("commit", "--quiet", "--allow-empty", "--message=random")
	return core.ObjectID(f.run("rev-parse", "HEAD"))
}

func TestService_CommitDiff_whiteSpaceBinaryAndSize(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	f.commit("one", "space", "a b\nc\n", "both", "a b\nc\n", "old name", strings.Repeat("line\n", 20), "type", "x\n", "gone", "x\n", "mode", "m\n", "latin", "ok\n")
	f.run("rm", "--quiet", "gone", "type")
	f.run("mv", "old name", "new name")
	require.NoError(t, os.Symlink("x", filepath.Join(f.work, "type")))
	require.NoError(t, os.Chmod(filepath.Join(f.work, "mode"), 0o700))
	head := f.commit("two", "space", "a    b\nc\n", "both", "a    b\nd\n", "bin", "\x00\x01", "huge", strings.Repeat("0123456789\n", 60_000),
		"large", strings.Repeat("0123456789\n", 30_000), "latin", "caf\xe9\n")

	d, err := f.CommitDiff(t.Context(), f.repo, CommitDiffRequest{Head: at("main")})
	require.NoError(t, err)
	require.Equal(t, head, d.Head)
	type short struct {
		state    string
		filtered bool
		whole    bool
	}
	got := map[string]short{}
	for _, file := range d.all(t) {
		got[file.Path] = short{file.State, file.Filtered, file.Whole}
		switch file.Path {
		case "both":
			require.Equal(t, 1, file.Additions)
			require.Contains(t, string(file.Raw), "\n a    b\n-c\n+d\n")
		case "new name":
			require.Equal(t, "old name", file.OldPath)
			require.Contains(t, string(file.Raw), "rename from old name")
		case "huge":
			require.Nil(t, file.Raw)
			require.Greater(t, file.Bytes, int64(660_000))
			require.Equal(t, 60_000, file.Additions)
		case "type":
			require.Equal(t, 2, strings.Count(string(file.Raw), "diff --git"))
		case "bin":
			require.True(t, file.Binary)
		}
	}
	want := map[string]short{
		"both": {"M", false, true}, "bin": {"A", true, true}, "huge": {"A", true, false}, "large": {"A", false, true}, "new name": {"R100", false, true},
		"type": {"T", false, true}, "gone": {"D", false, true}, "mode": {"M", false, true}, "latin": {"M", false, true},
	}
	require.Equal(t, want, got)
	require.Equal(t, len(want), d.Stats.Files)

	d, err = f.CommitDiff(t.Context(), f.repo, CommitDiffRequest{Head: at("main"), Exact: true, Paths: []string{"space", "latin"}})
	require.NoError(t, err)
	files := d.all(t)
	require.Len(t, files, 2)
	require.Equal(t, "latin", files[0].Path)
	require.True(t, files[0].Filtered, "JSON cannot hold what is not UTF-8")
	require.Contains(t, string(files[1].Raw), "-a b\n+a    b\n")

	// A path is a path.
	d, err = f.CommitDiff(t.Context(), f.repo, CommitDiffRequest{Head: at("main"), Paths: []string{"*"}})
	require.NoError(t, err)
	require.Empty(t, d.all(t))
	// A diff that is not read to its end is no problem.
	d, err = f.CommitDiff(t.Context(), f.repo, CommitDiffRequest{Head: at("main")})
	require.NoError(t, err)
	require.NoError(t, d.Close())

	for _, tt := range []struct {
		r    CommitDiffRequest
		want core.Kind
	}{
		{CommitDiffRequest{}, core.KindInvalid},
		{CommitDiffRequest{Head: at("nope")}, core.KindNotFound},
		{CommitDiffRequest{Head: at("main"), Base: at("nope")}, core.KindNotFound},
		{CommitDiffRequest{Head: at("main"), Paths: []string{"../x"}}, core.KindInvalid},
	} {
		_, err := f.CommitDiff(t.Context(), f.repo, tt.r)
		require.Equal(t, tt.want, core.KindOf(err))
	}
}

func TestService_BranchDiff(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	fork := f.commit("one", "a", "1\n")
	f.run("checkout", "--quiet", "-b", "topic")
	f.commit("topic", "t", "t\n")
	f.run("update-ref", "refs/namespaces/ephemeral/refs/heads/topic", "topic")
	f.run("checkout", "--quiet", "main")
	f.commit("main", "m", "m\n")
	for _, r := range []BranchDiffRequest{
		{Branch: at("topic")}, {Branch: at("topic"), Base: at("main")}, {Branch: At{core.Ephemeral, "topic"}, Base: at("main")},
	} {
		d, err := f.BranchDiff(t.Context(), f.repo, r)
		require.NoError(t, err)
		require.Equal(t, fork, d.MergeBase)
		require.Equal(t, "main", d.BaseName)
		files := d.all(t)
		require.Len(t, files, 1, "only what the branch changed")
		require.Equal(t, "t", files[0].Path)
	}
	// Nothing in common.
	f.run("checkout", "--quiet", "--orphan", "alone")
	f.commit("alone")
	d, err := f.BranchDiff(t.Context(), f.repo, BranchDiffRequest{Branch: at("alone")})
	require.NoError(t, err)
	require.Empty(t, d.MergeBase)
	require.Len(t, d.all(t), 2)
}
