package content

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// all reads a blame to its end.
func (b *Blame) all(tb testing.TB) []BlameLine {
	tb.Helper()
	defer func() { require.NoError(tb, b.Close()) }()
	var lines []BlameLine
	for {
		l, ok, err := b.Next()
		require.NoError(tb, err)
		if !ok {
			return lines
		}
		lines = append(lines, l)
	}
}

func TestService_Blame(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, format)
			first := f.commit("first line\n\nmore", "old", "1\n2\n3\n4\n5\n6\n7\n8\n", "empty", "")
			f.run("mv", "old", "new name")
			moved := f.commit("moved")
			second := f.commit("second", "new name", "1\nTWO\n3\n4\n5\n6\n7\nEIGHT")
			b, err := f.Blame(t.Context(), f.repo, BlameRequest{Path: "new name"})
			require.NoError(t, err)
			require.Equal(t, second, b.Commit)
			lines := b.all(t)
			require.Len(t, lines, 8)
			for i, l := range lines {
				require.Equal(t, i+1, l.Number)
				require.Equal(t, i+1, l.OriginalNumber)
				if i == 1 || i == 7 {
					require.Equal(t, second, l.Commit)
					require.Equal(t, moved, l.Previous)
					require.Equal(t, "new name", l.OriginalPath)
				} else {
					require.Equal(t, first, l.Commit)
					require.Empty(t, l.Previous)
					require.Equal(t, "old", l.OriginalPath)
					require.Equal(t, "first line", l.Summary)
				}
				require.Equal(t, Signature{"Ann Author", "ann@example.com", l.Author.When}, l.Author)
				require.Equal(t, "2023-11-14T23:43:20+01:30", l.Author.When.Format(time.RFC3339))
				require.Equal(t, "2023-11-14T17:15:00-05:00", l.Committer.When.Format(time.RFC3339))
			}
			numbers := func(ranges ...string) (n []int) {
				b, err := f.Blame(t.Context(), f.repo, BlameRequest{Path: "new name", Ranges: ranges, DetectMoves: true})
				require.NoError(t, err)
				for _, l := range b.all(t) {
					n = append(n, l.Number)
				}
				return n
			}
			require.Equal(t, []int{2, 3, 7}, numbers("2,3", "7,+1"))
			require.Equal(t, []int{2, 3}, numbers("/TWO/,+2"))
			b, err = f.Blame(t.Context(), f.repo, BlameRequest{Path: "empty"})
			require.NoError(t, err)
			require.Empty(t, b.all(t))
		})
	}
}

func TestService_Blame_refusals(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	f.commit("one", "a", "1\n", "d/b", "")
	f.run("update-ref", "refs/heads/modules", f.run("commit-tree", "-m", "m", f.input("160000 commit "+strings.Repeat("1", 40)+"\tmodule\n", "mktree", "--missing")))
	many := make([]string, 17)
	for i := range many {
		many[i] = "1,1"
	}
	for _, tt := range []struct {
		name string
		r    BlameRequest
		want core.Kind
	}{
		{"no path", BlameRequest{}, core.KindInvalid},
		{"missing path", BlameRequest{Path: "x"}, core.KindNotFound},
		{"folder", BlameRequest{Path: "d"}, core.KindNotFound},
		{"submodule", BlameRequest{At: at("modules"), Path: "module"}, core.KindNotFound},
		{"missing ref", BlameRequest{At: at("x"), Path: "a"}, core.KindNotFound},
		{"range outside", BlameRequest{Path: "a", Ranges: []string{"5,6"}}, core.KindInvalid},
		{"range of nonsense", BlameRequest{Path: "a", Ranges: []string{"1,2,3"}}, core.KindInvalid},
		{"range that is an option", BlameRequest{Path: "a", Ranges: []string{"-1"}}, core.KindInvalid},
		{"expression that matches nothing", BlameRequest{Path: "a", Ranges: []string{"/zzz/"}}, core.KindInvalid},
		{"too many ranges", BlameRequest{Path: "a", Ranges: many}, core.KindInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := f.Blame(t.Context(), f.repo, tt.r)
			require.Equal(t, tt.want, core.KindOf(err), "%v", err)
		})
	}
}

// found writes a page of a search in short: "path:1=match 2-context".
func found(p GrepPage) string {
	var out []string
	for _, f := range p.Files {
		line := f.Path + ":"
		for _, l := range f.Lines {
			sign := map[bool]string{true: "=", false: "-"}[l.Match]
			line += fmt.Sprintf(" %d%s%s", l.Number, sign, l.Text)
		}
		out = append(out, line)
	}
	return strings.Join(out, "; ")
}

func TestService_Grep(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	f.commit("one", "a.go", "x\nfoo 1\ny\nfoo 22\nz\n", "src/b.go", "Foo\n", "src/c.ts", "foo\nfoo\nfoo\n", "new\nline\"q", "foo nl\n", "caf\u00e9.md", "foo caf\xe9\r\n",
		"bin", "foo\x00", "12-34:x", "foo\n")
	for _, tt := range []struct {
		name string
		r    GrepRequest
		want string
	}{
		{"all", GrepRequest{Pattern: "foo"}, "12-34:x: 1=foo; a.go: 2=foo 1 4=foo 22; caf\u00e9.md: 1=foo caf\uFFFD; new\nline\"q: 1=foo nl; src/c.ts: 1=foo 2=foo 3=foo"},
		{"any case, extension", GrepRequest{Pattern: "FOO", IgnoreCase: true, Extensions: []string{".go"}}, "a.go: 2=foo 1 4=foo 22; src/b.go: 1=Foo"},
		{"digits", GrepRequest{Pattern: `foo \d{2}`}, "a.go: 4=foo 22"},
		{"word and alternatives", GrepRequest{Pattern: `\b(z|Foo)\b`}, "a.go: 5=z; src/b.go: 1=Foo"},
		{"leading dash", GrepRequest{Pattern: `-e`}, ""},
		{"context", GrepRequest{Pattern: "22", Before: 1, After: 5}, "a.go: 3-y 4=foo 22 5-z"},
		{"path", GrepRequest{Pattern: "foo", Paths: []string{"src"}}, "src/c.ts: 1=foo 2=foo 3=foo"},
		{"path and glob", GrepRequest{Pattern: "[Ff]oo", Paths: []string{"src"}, IncludeGlobs: []string{"*.go"}}, "src/b.go: 1=Foo"},
		{"path, extension and exclusion", GrepRequest{Pattern: "[Ff]oo", Paths: []string{"src", "a.go"}, Extensions: []string{"go"}, ExcludeGlobs: []string{"src/**"}}, "a.go: 2=foo 1 4=foo 22"},
		{"path that is magic", GrepRequest{Pattern: "foo", Paths: []string{":!x"}}, ""},
		{"at most", GrepRequest{Pattern: "foo", MaxPerFile: 1, Paths: []string{"src", "a.go"}}, "a.go: 2=foo 1; src/c.ts: 1=foo"},
		{"nothing", GrepRequest{Pattern: "nowhere"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			page, err := f.Grep(t.Context(), f.repo, tt.r)
			require.NoError(t, err)
			require.Equal(t, tt.want, found(page))
			require.Empty(t, page.Next)
			require.Equal(t, "main", page.Ref)

			// The same, page by page: by lines, and by files.
			for _, limit := range []func(r *GrepRequest){func(r *GrepRequest) { r.MaxLines = 1 }, func(r *GrepRequest) { r.MaxLines = 2 }, func(r *GrepRequest) { r.MaxFiles = 1 }} {
				r, whole := tt.r, GrepPage{}
				for limit(&r); ; {
					page, err := f.Grep(t.Context(), f.repo, r)
					require.NoError(t, err)
					for _, file := range page.Files {
						if n := len(whole.Files); n > 0 && whole.Files[n-1].Path == file.Path {
							whole.Files[n-1].Lines = append(whole.Files[n-1].Lines, file.Lines...)
							continue
						}
						whole.Files = append(whole.Files, file)
					}
					if page.Next == "" {
						break
					}
					r.Cursor = page.Next
				}
				require.Equal(t, tt.want, found(whole))
			}
		})
	}
}

func TestService_Grep_refusals(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	f.commit("one", "a", strings.Repeat("a", 5000)+"\n")
	gone := offsetCursor("grep", "1234567890123456789012345678901234567890", 1)
	for _, tt := range []struct {
		name string
		r    GrepRequest
		want core.Kind
	}{
		{"no pattern", GrepRequest{}, core.KindInvalid},
		{"unbalanced", GrepRequest{Pattern: "(a"}, core.KindInvalid},
		{"back-reference", GrepRequest{Pattern: `(a*)*\1`}, core.KindInvalid},
		{"huge repetition", GrepRequest{Pattern: `((a{200}){200}){200}`}, core.KindInvalid},
		{"unknown escape", GrepRequest{Pattern: `\pL`}, core.KindInvalid},
		{"Perl", GrepRequest{Pattern: `(?i)a`}, core.KindInvalid},
		{"line feed", GrepRequest{Pattern: "a\nb"}, core.KindInvalid},
		{"glob", GrepRequest{Pattern: "a", IncludeGlobs: []string{"["}}, core.KindInvalid},
		{"path", GrepRequest{Pattern: "a", Paths: []string{"../x"}}, core.KindInvalid},
		{"extension", GrepRequest{Pattern: "a", Extensions: []string{"a/b"}}, core.KindInvalid},
		{"missing ref", GrepRequest{Pattern: "a", At: at("x")}, core.KindNotFound},
		{"commit of the cursor gone", GrepRequest{Pattern: "a", Cursor: gone}, core.KindNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := f.Grep(t.Context(), f.repo, tt.r)
			require.Equal(t, tt.want, core.KindOf(err), "%v", err)
		})
	}
	// Nested repetition alone takes no time worth mentioning.
	page, err := f.Grep(t.Context(), f.repo, GrepRequest{Pattern: `(a*)*(a|aa)+$`})
	require.NoError(t, err)
	require.Len(t, page.Files, 1)
}

// unpack reads an archive: type and size, by name.
func unpack(tb testing.TB, a *Archive) map[string]string {
	tb.Helper()
	defer func() { require.NoError(tb, a.Close()) }()
	var packed bytes.Buffer
	_, err := a.WriteTo(&packed)
	require.NoError(tb, err)
	plain, err := gzip.NewReader(&packed)
	require.NoError(tb, err)
	files := map[string]string{}
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(tb, err)
		switch h.Typeflag {
		case tar.TypeReg:
			data, err := io.ReadAll(r)
			require.NoError(tb, err)
			require.EqualValues(tb, 1700000100, h.ModTime.Unix())
			files[h.Name] = fmt.Sprintf("%o %d", h.Mode&0o777, len(data))
		case tar.TypeSymlink:
			files[h.Name] = "-> " + h.Linkname
		case tar.TypeDir:
			files[h.Name] = "dir"
		}
	}
}

func TestService_OpenArchive(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	oddities(f)
	long := strings.Repeat("long/", 40) + "name"
	f.run("read-tree", "main")
	f.write(long, "x")
	f.run("update-index", "--add", "--cacheinfo", "100644,"+f.run("hash-object", "-w", "run.sh")+","+long)
	f.run("commit", "--quiet", "--message=long")
	want := map[string]string{}
	for _, e := range lsTree(f, "-r", "main") {
		switch {
		case e.Type == TypeSymlink:
			want[e.Path] = "-> plain.txt"
		case e.Type == TypeBlob:
			mode := map[string]string{"100644": "644", "100755": "755"}[e.Mode]
			want[e.Path] = mode + " " + f.run("cat-file", "-s", string(e.ID))
		}
	}
	open := func(r ArchiveRequest) map[string]string {
		a, err := f.OpenArchive(t.Context(), f.repo, r)
		require.NoError(t, err)
		return unpack(t, a)
	}
	dirs := func(files map[string]string) map[string]string {
		for name, what := range files {
			if what == "dir" {
				delete(files, name)
			}
		}
		return files
	}
	require.Equal(t, want, dirs(open(ArchiveRequest{})))
	require.NotContains(t, open(ArchiveRequest{}), "vendor/")
	require.Equal(t, map[string]string{"p/q/sub/": "dir", "p/q/sub/a/": "dir", "p/q/sub/a/b.txt": "644 11"},
		open(ArchiveRequest{IncludeGlobs: []string{"sub/a/*"}, Prefix: "p/q"}))
	require.Contains(t, open(ArchiveRequest{Prefix: strings.Repeat("x", 200)}), strings.Repeat("x", 200)+"/"+long)
	small := dirs(open(ArchiveRequest{MaxBlobSize: 1 << 20}))
	require.NotContains(t, small, "big.bin")
	require.Len(t, small, len(want)-1)
	require.NotContains(t, open(ArchiveRequest{ExcludeGlobs: []string{"*.txt"}}), "plain.txt")
	require.Empty(t, open(ArchiveRequest{IncludeGlobs: []string{"none/**"}}))
	require.Empty(t, open(ArchiveRequest{IncludeGlobs: []string{"*.none"}}))
	for _, tt := range []struct {
		r    ArchiveRequest
		want core.Kind
	}{
		{ArchiveRequest{At: at("x")}, core.KindNotFound}, {ArchiveRequest{IncludeGlobs: []string{"["}}, core.KindInvalid},
		{ArchiveRequest{Prefix: "../x"}, core.KindInvalid}, {ArchiveRequest{MaxBlobSize: -1}, core.KindInvalid},
	} {
		_, err := f.OpenArchive(t.Context(), f.repo, tt.r)
		require.Equal(t, tt.want, core.KindOf(err))
	}
}
