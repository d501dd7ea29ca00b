package content

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// oddNames are names that something on the way could stumble over.
var oddNames = []string{
	"plain.txt", "-leading-dash", "with space", "quote\"s and 'more'", "back\\slash", "new\nline", "tab\there", "umlaut-\u00e4\u00f6",
	"emoji-\U0001f600", "latin-\xe9", "a", "a.b", "a-b/inner", "a/b/c/deep", "a/b.txt", "a0", ":(top)magic", "star*[x]?", "#hash", "~tilde^caret", "empty",
	"dir/empty", ".gitignore-not", "..dots", "dir/.hidden", "UPPER/Case",
}

// oddities fills a repository with everything that a tree can hold.
func oddities(f *fixture) core.ObjectID {
	for i, name := range oddNames {
		if strings.HasPrefix(name, "a/") {
			name = "sub/" + name // "a" is a file
		}
		content := fmt.Sprintf("content %d\n", i)
		if strings.HasSuffix(name, "empty") {
			content = ""
		}
		f.write(name, content)
	}
	f.write("bin.dat", "\x00\x01\x02", "run.sh", "#!/bin/sh\n", "big.bin", strings.Repeat("0123456789abcdef", 10<<20/16))
	require.NoError(f.tb, os.Chmod(filepath.Join(f.work, "run.sh"), 0o700))
	require.NoError(f.tb, os.Symlink("plain.txt", filepath.Join(f.work, "link")))
	f.run("add", "--all")
	other := strings.Repeat("12", len(f.run("hash-object", "-t", "tree", "/dev/null"))/2)
	f.run("update-index", "--add", "--cacheinfo", "160000,"+other+",vendor/module")
	f.run("commit", "--quiet", "--message=odd")
	return core.ObjectID(f.run("rev-parse", "HEAD"))
}

// lsTree is what git says of a tree: type and mode by path, in order.
func lsTree(f *fixture, args ...string) []Entry {
	var entries []Entry
	out := f.run(append([]string{"ls-tree", "-z", "--full-tree"}, args...)...)
	for line := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		head, path, _ := strings.Cut(line, "\t")
		word := strings.Fields(head)
		e := Entry{Path: path, Mode: word[0], ID: core.ObjectID(word[2]), Type: EntryType(word[1])}
		switch e.Mode {
		case "120000":
			e.Type = TypeSymlink
		case "160000":
			e.Type = TypeSubmodule
		}
		entries = append(entries, e)
	}
	return entries
}

func TestService_Files(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, format)
			oddities(f)
			want := lsTree(f, "-r", "main")
			for _, limit := range []int{0, 1, 2, 3, 7, 1000} {
				require.Equal(t, want, f.listed(FilesRequest{Limit: limit}), "limit %d", limit)
			}
			want = lsTree(f, "main")
			for _, limit := range []int{0, 1, 2, 1000} {
				require.Equal(t, want, f.listed(FilesRequest{OneDeep: true, Limit: limit}), "limit %d", limit)
			}
			require.Equal(t, lsTree(f, "-r", "main", "sub/"), f.listed(FilesRequest{Path: "sub", Limit: 1}))
			require.Equal(t, lsTree(f, "-r", "main", "sub/"), f.listed(FilesRequest{Path: "sub/"}))
			require.Equal(t, lsTree(f, "main", "sub/a/"), f.listed(FilesRequest{Path: "sub/a", OneDeep: true}))
			require.Equal(t, lsTree(f, "main", "plain.txt"), f.listed(FilesRequest{Path: "plain.txt", Limit: 1}))
		})
	}
}

func TestService_Files_pagesStayTogether(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	f.commit("one", "a", "1", "b", "1", "c", "1")
	first, err := f.Files(t.Context(), f.repo, FilesRequest{Limit: 1})
	require.NoError(t, err)
	next, err := first.Walk(t.Context(), func(Entry) error { return nil })
	require.NoError(t, err)
	f.commit("two", "aa", "new", "b", "2")
	second, err := f.Files(t.Context(), f.repo, FilesRequest{Limit: 5, Cursor: next})
	require.NoError(t, err)
	require.Equal(t, first.Commit, second.Commit)
	var paths []string
	next, err = second.Walk(t.Context(), func(e Entry) error { paths = append(paths, e.Path); return nil })
	require.NoError(t, err)
	require.Empty(t, next)
	require.Equal(t, []string{"b", "c"}, paths)
}

func TestService_Files_refusals(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	empty := newFixture(t, "sha1")
	f.commit("one", "a/b", "x")
	for _, tt := range []struct {
		name string
		f    *fixture
		r    FilesRequest
		want core.Kind
	}{
		{"empty repository", empty, FilesRequest{}, core.KindNotFound},
		{"missing ref", f, FilesRequest{At: at("nope")}, core.KindNotFound},
		{"missing path", f, FilesRequest{Path: "nope"}, core.KindNotFound},
		{"below a file", f, FilesRequest{Path: "a/b/c"}, core.KindNotFound},
		{"ephemeral, where there is nothing", f, FilesRequest{At: At{Namespace: core.Ephemeral}}, core.KindNotFound},
		{"absolute path", f, FilesRequest{Path: "/a"}, core.KindInvalid},
		{"climbing path", f, FilesRequest{Path: "a/../a"}, core.KindInvalid},
		{"cursor of nothing", f, FilesRequest{Cursor: "!!"}, core.KindInvalid},
		{"cursor of another listing", f, FilesRequest{Cursor: cursor{"grep", "", "1"}.String()}, core.KindInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := tt.f.Files(t.Context(), tt.f.repo, tt.r)
			require.Equal(t, tt.want, core.KindOf(err), "%v", err)
		})
	}
}

func TestService_Files_defaultBranch(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	id := f.commit("one", "a", "x")
	for _, tt := range []struct{ branch, head, want string }{
		{"main", "refs/heads/main", "main"},
		{"trunk", "refs/heads/main", "HEAD"},
		{"trunk", "refs/heads/none", "main"},
	} {
		f.run("symbolic-ref", "HEAD", tt.head)
		repo := f.repo
		repo.DefaultBranch = tt.branch
		files, err := f.Files(t.Context(), repo, FilesRequest{})
		require.NoError(t, err)
		require.Equal(t, tt.want, files.Ref)
		require.Equal(t, id, files.Commit)
	}
}

// manyFiles fills a repository with n files in folders of a hundred, in
// commits of a hundred.
func manyFiles(f *fixture, n int) {
	var in strings.Builder
	for c := 0; c*100 < n; c++ {
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter C <c@example.com> %d +0000\ndata 1\nx\n", 1_700_000_000+c)
		for i := range min(100, n-c*100) {
			fmt.Fprintf(&in, "M 100644 inline dir%03d/file%05d.txt\ndata 10\n%09d\n\n", c, c*100+i, c*100+i)
		}
		in.WriteString("\n")
	}
	in.WriteString("done\n")
	f.input(in.String(), "fast-import", "--quiet", "--done")
}

func TestService_Files_manyPages(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	manyFiles(f, 4_000)
	entries := f.listed(FilesRequest{Limit: 1000})
	require.Len(t, entries, 4_000)
	files, err := f.Files(t.Context(), f.repo, FilesRequest{})
	require.NoError(t, err)
	n := 0
	commits, next, err := files.Metadata(t.Context(), func(m FileMetadata) error {
		require.EqualValues(t, 10, m.Size)
		n++
		return nil
	})
	require.NoError(t, err)
	require.Empty(t, next)
	require.Equal(t, 4_000, n)
	require.Len(t, commits, 40)
}

func BenchmarkFiles_Metadata(b *testing.B) {
	f := newFixture(b, "sha1")
	manyFiles(f, 20_000)
	f.run("repack", "-qadb")
	f.run("commit-graph", "write", "--reachable", "--changed-paths")
	for b.Loop() {
		files, err := f.Files(b.Context(), f.repo, FilesRequest{})
		require.NoError(b, err)
		_, _, err = files.Metadata(b.Context(), func(FileMetadata) error { return nil })
		require.NoError(b, err)
	}
}

func BenchmarkService_File(b *testing.B) {
	f := newFixture(b, "sha1")
	manyFiles(f, 20_000)
	f.run("repack", "-qadb")
	buf := make([]byte, 64)
	for b.Loop() {
		file, err := f.File(b.Context(), f.repo, At{}, "dir100/file10001.txt")
		require.NoError(b, err)
		r := file.Open(b.Context())
		n, err := r.Read(buf)
		require.NoError(b, err)
		require.Equal(b, 10, n)
		require.NoError(b, r.Close())
	}
}
