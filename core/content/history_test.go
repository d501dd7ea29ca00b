package content

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/longtest"
)

// randomHistory fills a repository with commits that branch and merge, and
// touch a few files over and over; it returns the tip.
func randomHistory(f *fixture, seed uint64, commits int) core.ObjectID {
	r := rand.New(rand.NewPCG(seed, 1))
	names := []string{"a", "b", "dir/c", "dir/d", "dir/sub/e", "x y", "\u00fc"}
	var in strings.Builder
	files := []map[string]string{} // of each commit
	for c := range commits {
		// Times go backwards now and then, as in real histories.
		when := 1_700_000_000 + c*100 - r.IntN(500)
		fmt.Fprintf(&in, "commit refs/heads/w\nmark :%d\ncommitter C <c@example.com> %d +0000\ndata 2\nc\n", c+1, when)
		tree := map[string]string{}
		if c > 0 {
			parent := c - 1 - r.IntN(min(c, 3))
			fmt.Fprintf(&in, "from :%d\n", parent+1)
			for name, content := range files[parent] {
				tree[name] = content
			}
			if other := r.IntN(c); r.IntN(3) == 0 && other != parent {
				fmt.Fprintf(&in, "merge :%d\n", other+1)
				// A merge takes some files from the other side, and may keep
				// all of its own.
				for _, name := range names {
					if content, ok := files[other][name]; ok && r.IntN(2) == 0 {
						tree[name] = content
					}
				}
			}
		}
		for range r.IntN(3) {
			name := names[r.IntN(len(names))]
			if r.IntN(6) == 0 {
				delete(tree, name)
			} else {
				// Few contents: the same change is made on several branches.
				tree[name] = fmt.Sprintf("%s 100%d44 %d", name, 6, r.IntN(4))
				if r.IntN(4) == 0 {
					tree[name] = strings.Replace(tree[name], "100644", "100755", 1)
				}
			}
		}
		in.WriteString("deleteall\n")
		for name, content := range tree {
			word := strings.Fields(strings.TrimPrefix(content, name))
			fmt.Fprintf(&in, "M %s inline %q\ndata %d\n%s\n", word[0], name, len(content), word[1]+strings.Repeat("_", len(content)-len(word[1])))
		}
		files = append(files, tree)
	}
	in.WriteString("reset refs/heads/main\nfrom :" + fmt.Sprint(commits) + "\n\ndone\n")
	f.input(strings.ReplaceAll(in.String(), `"\u00fc"`, "\"\u00fc\""), "fast-import", "--quiet", "--done")
	return core.ObjectID(f.run("rev-parse", "main"))
}

// TestFiles_Metadata_asGitLog holds the one walk against one "git log" for each
// path.
func TestFiles_Metadata_asGitLog(t *testing.T) {
	t.Parallel()
	for seed := range uint64(longtest.Cases(4, 12)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "sha1")
			randomHistory(f, seed, 60)
			for _, folder := range []string{"", "dir"} {
				files, err := f.Files(t.Context(), f.repo, FilesRequest{Path: folder})
				if folder != "" && core.KindOf(err) == core.KindNotFound {
					continue
				}
				require.NoError(t, err)
				got, want := map[string]string{}, map[string]string{}
				commits, _, err := files.Metadata(t.Context(), func(m FileMetadata) error {
					got[m.Path] = string(m.LastCommit)
					want[m.Path] = f.run("--literal-pathspecs", "log", "-1", "--format=%H", "main", "--", m.Path)
					require.Equal(t, f.run("cat-file", "-s", string(m.ID)), fmt.Sprint(m.Size))
					return nil
				})
				require.NoError(t, err)
				require.Empty(t, cmp.Diff(want, got), "%s", f.run("log", "--graph", "--oneline", "--name-status", "--all"))
				for path, id := range got {
					require.Equal(t, core.ObjectID(id), commits[core.ObjectID(id)].ID, path)
				}
			}
		})
	}
}

func TestFiles_Metadata_pagesAndOddities(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, format)
			odd := oddities(f)
			change := f.commit("change", "new\nline", "other", "-leading-dash", "other")
			r := FilesRequest{Limit: 4}
			var paths []string
			for {
				files, err := f.Files(t.Context(), f.repo, r)
				require.NoError(t, err)
				_, next, err := files.Metadata(t.Context(), func(m FileMetadata) error {
					paths = append(paths, m.Path)
					want := odd
					if m.Path == "new\nline" || m.Path == "-leading-dash" {
						want = change
					}
					if m.Type != TypeSubmodule { // "add --all" above removed it
						require.Equal(t, want, m.LastCommit, m.Path)
					}
					return nil
				})
				require.NoError(t, err)
				if next == "" {
					break
				}
				r.Cursor = next
			}
			require.Len(t, paths, len(lsTree(f, "-r", "main")))
		})
	}
}

func TestService_File(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	odd := oddities(f)
	for _, tt := range []struct {
		name, path string
		want       core.Kind
	}{
		{"plain", "plain.txt", ""},
		{"leading dash", "-leading-dash", ""},
		{"magic", ":(top)magic", ""},
		{"glob", "star*[x]?", ""},
		{"quotes", "quote\"s and 'more'", ""},
		{"not UTF-8", "latin-\xe9", ""},
		{"empty", "empty", ""},
		{"symbolic link", "link", ""},
		{"folder", "sub", core.KindNotFound},
		{"submodule", "vendor/module", core.KindNotFound},
		{"missing", "nope", core.KindNotFound},
		{"below a file", "a/x", core.KindNotFound},
		{"line feed", "new\nline", ""},
		{"none", "", core.KindInvalid},
		{"git folder", "x/.GIT/config", core.KindInvalid},
		{"here", "./plain.txt", core.KindInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file, err := f.File(t.Context(), f.repo, At{}, tt.path)
			require.Equal(t, tt.want, core.KindOf(err), "%v", err)
			if err != nil {
				return
			}
			require.Equal(t, odd, file.LastCommit)
			require.EqualValues(t, 1700000100, file.ModTime.Unix())
			r := file.Open(t.Context())
			data, err := io.ReadAll(r)
			require.NoError(t, err)
			require.NoError(t, r.Close())
			require.Equal(t, f.run("rev-parse", "main:"+tt.path), string(file.Blob))
			require.Equal(t, f.run("cat-file", "blob", string(file.Blob)), strings.TrimSuffix(string(data), "\n"))
		})
	}
}

func TestFile_Open_seeks(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "sha1")
	oddities(f)
	file, err := f.File(t.Context(), f.repo, At{}, "big.bin")
	require.NoError(t, err)
	require.EqualValues(t, 10<<20, file.Size)
	r := file.Open(t.Context())
	defer func() { require.NoError(t, r.Close()) }()
	buf := make([]byte, 4)
	for _, offset := range []int64{3, 5 << 20, 5<<20 + 16, 17, 10<<20 - 4} {
		_, err := r.Seek(offset, io.SeekStart)
		require.NoError(t, err)
		_, err = io.ReadFull(r, buf)
		require.NoError(t, err)
		require.Equal(t, "0123456789abcdef0123"[offset%16:offset%16+4], string(buf))
	}
	_, err = r.Read(buf)
	require.ErrorIs(t, err, io.EOF)
	_, err = r.Seek(1, io.SeekEnd)
	require.Error(t, err)
}

func TestLastCommits_forgetsTheOldest(t *testing.T) {
	t.Parallel()
	l := newLastCommits(2)
	key := func(path string) lastKey { return lastKey{path: path} }
	l.put(key("a"), touch{id: "1"})
	l.put(key("b"), touch{id: "2"})
	_, ok := l.get(key("a"))
	require.True(t, ok)
	l.put(key("c"), touch{id: "3"})
	_, ok = l.get(key("b"))
	require.False(t, ok)
	found, ok := l.get(key("a"))
	require.True(t, ok)
	require.Equal(t, core.ObjectID("1"), found.id)
}
