package commit

import (
	"context"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
)

// testStore is a git with an empty bare repository.
type testStore struct {
	*Service
	git  *git.Git
	dir  string
	repo core.Repository
}

func newTestStore(t testing.TB, format string) *testStore {
	t.Helper()
	g, err := git.New(t.Context(), git.Options{})
	require.NoError(t, err)
	dir := t.TempDir() + "/r.git"
	require.NoError(t, g.Init(t.Context(), dir, "main", format))
	cat := catfile.NewPool(g, catfile.Options{})
	t.Cleanup(func() { require.NoError(t, cat.Close()) })
	return &testStore{
		Service: New(Options{Git: g, Objects: cat, Clock: core.SystemClock{}, TempDir: t.TempDir()}),
		git:     g, dir: dir, repo: core.Repository{ID: "repo_test", ObjectFormat: format},
	}
}

// run is git in the repository.
func (s *testStore) run(t require.TestingT, stdin, name string, flags ...string) string {
	out, err := s.git.Output(context.Background(), git.Command{Name: name, Dir: s.dir, Flags: flags, Stdin: strings.NewReader(stdin)})
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// mktree makes a tree from a path-to-blob map with git's own command.
func (s *testStore) mktree(t require.TestingT, files map[string]core.ObjectID) core.ObjectID {
	type entry struct{ mode, kind, id string }
	level := map[string]entry{}
	folders := map[string]map[string]core.ObjectID{}
	for path, id := range files {
		name, rest, deeper := strings.Cut(path, "/")
		if !deeper {
			level[name] = entry{"100644", "blob", string(id)}
			continue
		}
		if folders[name] == nil {
			folders[name] = map[string]core.ObjectID{}
		}
		folders[name][rest] = id
	}
	for name, inner := range folders {
		level[name] = entry{"040000", "tree", string(s.mktree(t, inner))}
	}
	var in strings.Builder
	for name, e := range level {
		in.WriteString(e.mode + " " + e.kind + " " + e.id + "\t" + name + "\n")
	}
	return core.ObjectID(s.run(t, in.String(), "mktree"))
}

// TestEditor_agreesWithGit makes random edits on random trees, and compares the
// id of the outcome with that of the tree that git makes of the same files.
func TestEditor_agreesWithGit(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := newTestStore(t, format)
			blobs := []core.ObjectID{core.ObjectID(s.run(t, "1", "hash-object", "-w", "--stdin")), core.ObjectID(s.run(t, "2", "hash-object", "-w", "--stdin"))}
			names := rapid.SampledFrom([]string{"a", "a.b", "a-b", "a0", "b", "\u00fc"})
			paths := rapid.Map(rapid.SliceOfN(names, 1, 4), func(parts []string) string { return strings.Join(parts, "/") })
			rapid.Check(t, func(r *rapid.T) {
				want := map[string]core.ObjectID{}
				put := func(path string, id core.ObjectID) {
					maps.DeleteFunc(want, func(have string, _ core.ObjectID) bool {
						return strings.HasPrefix(have, path+"/") || strings.HasPrefix(path, have+"/")
					})
					want[path] = id
				}
				for _, path := range rapid.SliceOfN(paths, 0, 8).Draw(r, "files") {
					put(path, rapid.SampledFrom(blobs).Draw(r, "blob"))
				}
				var base core.ObjectID
				if len(want) > 0 {
					base = s.mktree(r, want)
				}
				p := s.newPack(s.repo)
				defer p.close()
				e, err := s.edit(r.Context(), s.dir, p, base)
				require.NoError(r, err)
				if rapid.Bool().Draw(r, "prefetch") {
					require.NoError(r, e.prefetch(r.Context(), slices.Collect(maps.Keys(want))))
				}
				for range rapid.IntRange(0, 6).Draw(r, "edits") {
					path := paths.Draw(r, "path")
					if rapid.Bool().Draw(r, "put") {
						id := rapid.SampledFrom(blobs).Draw(r, "blob")
						put(path, id)
						require.NoError(r, e.put(r.Context(), path, modeFile, id))
						continue
					}
					had := len(want)
					maps.DeleteFunc(want, func(have string, _ core.ObjectID) bool { return have == path || strings.HasPrefix(have, path+"/") })
					found, err := e.remove(r.Context(), path)
					require.NoError(r, err)
					require.Equal(r, had > len(want), found, path)
				}
				got, err := e.write()
				require.NoError(r, err)
				require.Equal(r, s.mktree(r, want), got)
			})
		})
	}
}

func TestPack_isWhatGitReads(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"sha1", "sha256"} {
		for name, count := range map[string]int{"loose": 5, "packed": 150} {
			t.Run(format+" "+name, func(t *testing.T) {
				t.Parallel()
				s := newTestStore(t, format)
				p := s.newPack(s.repo)
				defer p.close()
				var ids []string
				for i := range count {
					content := strings.Repeat("x", i*i*37)
					id, err := p.add(typeBlob, []byte(content))
					require.NoError(t, err)
					if i%20 < 2 { // fsck looks at all of them below
						require.Equal(t, s.run(t, content, "hash-object", "--stdin"), string(id))
					}
					ids = append(ids, string(id))
					again, err := p.add(typeBlob, []byte(content))
					require.NoError(t, err)
					require.Equal(t, id, again)
				}
				require.Equal(t, count, p.blobs)
				size := p.size()
				require.NoError(t, s.store(t.Context(), s.dir, p))
				require.Equal(t, size, p.stored)
				objects, err := s.objects.Info(t.Context(), s.dir, ids...)
				require.NoError(t, err)
				for i, o := range objects {
					require.Equal(t, "blob", o.Type)
					require.EqualValues(t, i*i*37, o.Size)
				}
				s.run(t, "", "fsck", "--strict")
			})
		}
	}
}

func TestSpool_limitAndReuse(t *testing.T) {
	t.Parallel()
	s := spool{dir: t.TempDir(), limit: spoolMemory * 3}
	piece := make([]byte, spoolMemory/2+1)
	for range 5 {
		_, err := s.Write(piece)
		require.NoError(t, err)
	}
	require.NotNil(t, s.file)
	_, err := s.Write(piece)
	require.Equal(t, core.KindTooLarge, core.KindOf(err))
	require.NoError(t, s.reset())
	require.Nil(t, s.file)
	require.NoError(t, s.close())
}

func FuzzParseFolder(f *testing.F) {
	f.Add([]byte("100644 a\x00" + strings.Repeat("x", 20) + "40000 b\x00" + strings.Repeat("y", 20)))
	f.Add([]byte("100644 a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		folder, err := parseFolder(data, 20)
		if err != nil {
			return
		}
		require.Equal(t, hex.EncodeToString(data), hex.EncodeToString(folder.encode()), "an unchanged folder is written as it was")
	})
}
