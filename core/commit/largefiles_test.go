package commit

import (
	"bytes"
	"context"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/lfs"
)

// TestFiltered_agreesWithGit makes random edits of files and of .gitattributes on random
// trees, and compares what is given to Git LFS with what git says of an index of the whole
// outcome.
func TestFiltered_agreesWithGit(t *testing.T) {
	t.Parallel()
	s := newTestStore(t, "sha1")
	lines := rapid.SampledFrom([]string{
		"*.bin filter=lfs -text", "*.bin -filter", "*.bin !filter", "/a/* filter=lfs", "b/ filter=lfs", "b/** filter=lfs", "[attr]large filter=lfs",
		"*.bin large", "\"a b.bin\" filter=lfs", "# *.bin filter=lfs", "*.[bB]in filter=LFS", "\xfc.bin filter=lfs", "a/**/c.bin filter=lfs", "c.bin filter",
	})
	attributes := rapid.Map(rapid.SliceOfN(lines, 1, 3), func(all []string) string { return strings.Join(all, "\n") + "\n" })
	names := rapid.SampledFrom([]string{"a", "b", "c.bin", "a b.bin", "x", attributesFile})
	paths := rapid.Map(rapid.SliceOfN(names, 1, 3), func(parts []string) string { return strings.Join(parts, "/") })
	rapid.Check(t, func(r *rapid.T) {
		want := map[string]core.ObjectID{}
		remove := func(path string) {
			maps.DeleteFunc(want, func(have string, _ core.ObjectID) bool { return isBelow(have, path) })
		}
		put := func(path, data string) {
			remove(path)
			maps.DeleteFunc(want, func(have string, _ core.ObjectID) bool { return isBelow(path, have) })
			want[path] = core.ObjectID(s.run(r, data, "hash-object", "-w", "--stdin"))
		}
		data := func(path string) string {
			if filepath.Base(path) == attributesFile {
				return attributes.Draw(r, "attributes")
			}
			return "data"
		}
		for _, path := range rapid.SliceOfN(paths, 0, 8).Draw(r, "before") {
			put(path, data(path))
		}
		var base core.ObjectID
		if len(want) > 0 {
			base = s.mktree(r, want)
		}
		p := s.newPack(s.repo)
		defer p.close()
		cs := s.newContents(p)
		defer cs.close()
		cs.keep()
		var files []File
		var in pieces
		for i, path := range rapid.SliceOfNDistinct(paths, 1, 6, rapid.ID).Draw(r, "edits") {
			f := File{Path: path, Mode: modeFile, Content: string(rune('a' + i))}
			if rapid.IntRange(0, 4).Draw(r, "kind") == 0 {
				f = File{Path: path, Delete: true}
			}
			if checkTogether(append(slices.Clone(files), f)) != nil {
				continue
			}
			files = append(files, f)
			if f.Delete {
				remove(path)
				continue
			}
			content := data(path)
			in = append(in, Chunk{Content: f.Content, Data: []byte(content), Last: true})
			put(path, content)
		}
		cs.expect(files)
		require.NoError(r, cs.take(&in))
		large, err := s.filtered(r.Context(), s.repo, s.dir, base, cs, files)
		require.NoError(r, err)
		got := []string{}
		for _, i := range large {
			got = append(got, files[i].Path)
		}
		require.ElementsMatch(r, s.gitFiltered(r, want, files), got)
	})
}

// gitFiltered returns which of the files git's filter lfs is for, in a tree.
func (s *testStore) gitFiltered(t require.TestingT, tree map[string]core.ObjectID, files []File) []string {
	q, err := s.newQuarantine(s.dir)
	require.NoError(t, err)
	defer q.close() //nolint:errcheck // of a test
	out := []string{}
	if len(tree) == 0 {
		return out
	}
	run := func(c git.Command) string {
		text, err := s.outputIn(context.Background(), q, c)
		require.NoError(t, err)
		return string(text)
	}
	run(git.Command{Name: "read-tree", Args: []string{string(s.mktree(t, tree))}})
	for _, f := range files {
		if f.Delete {
			continue
		}
		if answer := run(git.Command{Name: "check-attr", Flags: []string{"--cached", "-z"}, Args: []string{"filter"}, Paths: []string{f.Path}}); strings.HasSuffix(answer, "\x00filter\x00lfs\x00") {
			out = append(out, f.Path)
		}
	}
	return out
}

// storedObjects keeps what it is given, as the objects of LFS are kept.
type storedObjects struct {
	repo    core.Repository
	ref     string
	objects map[lfs.OID][]byte
	err     error
}

func (l *storedObjects) Store(_ context.Context, r core.Repository, ref string, sources []lfs.Source) error {
	l.repo, l.ref = r, ref
	for _, source := range sources {
		for range 2 { // as it is tried again
			content, err := io.ReadAll(source.Open())
			if err != nil {
				return err
			}
			l.objects[source.OID] = content
		}
	}
	return l.err
}

// Contents are objects or blobs by what .gitattributes says, whichever comes first in the
// request; one content may be both.
func TestCommitFiles_lfs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Local("a")
	kept := &storedObjects{objects: map[lfs.OID][]byte{}}
	b.large = kept
	big := bytes.Repeat([]byte("large "), 1<<18) // more than is kept in memory
	other, _, err := pointerOf(section{&spool{}, 0, 0})
	require.NoError(t, err)
	require.Empty(t, other.OID)
	pointer := lfs.Pointer{OID: lfs.OID(strings.Repeat("ab", 32)), Size: 7}.Encode()
	files := []File{
		{Path: "big.bin", Content: "1"}, {Path: "copy.txt", Content: "1"}, {Path: "empty.bin", Content: "2"}, {Path: "pointer.bin", Content: "3"},
		{Path: "link.bin", Content: "4", Mode: modeSymlink}, {Path: attributesFile, Content: "5"},
	}
	commit := func(c Commit) (Result, error) {
		c.Caller, c.Signed, c.Branch = Caller{Repo: r, Actor: core.Actor{Subject: "t"}}, signed(), "main"
		in := pieces{
			{Content: "1", Data: big[:100]}, {Content: "1", Data: big[100:], Last: true}, {Content: "2", Last: true}, {Content: "3", Data: pointer, Last: true},
			{Content: "4", Data: []byte("big.bin"), Last: true}, {Content: "5", Data: []byte("*.bin filter=lfs\n"), Last: true},
		}
		return b.CommitFiles(b.Context(), c, files, &in)
	}
	kept.err = core.Errorf(core.KindUpstreamRejected, "over quota")
	_, err = commit(Commit{LFS: true})
	require.ErrorIs(t, err, kept.err)
	require.Empty(t, b.Refs(r), "no ref without its objects")

	kept.err = nil
	made, err := commit(Commit{LFS: true})
	require.NoError(t, err)
	require.Len(t, kept.objects, 1)
	require.Equal(t, "refs/heads/main", kept.ref)
	read := func(path string) string {
		o, err := b.Service.objects.Contents(b.Context(), b.Path(r), 4<<20, string(made.Commit)+":"+path)
		require.NoError(t, err)
		return string(o[0].Data)
	}
	p, err := lfs.ParsePointer([]byte(read("big.bin")))
	require.NoError(t, err)
	require.Equal(t, int64(len(big)), p.Size)
	require.True(t, bytes.Equal(big, kept.objects[p.OID]))
	require.Equal(t, string(big), read("copy.txt"), "no attribute is for it")
	require.Empty(t, read("empty.bin"))
	require.Equal(t, string(pointer), read("pointer.bin"))
	require.Equal(t, "big.bin", read("link.bin"))

	// What the commit deletes does not count, nor what it replaces.
	put := func(files ...File) string {
		in := pieces{{Content: "1", Data: []byte("data"), Last: true}}
		got, err := b.CommitFiles(b.Context(), Commit{Caller: Caller{Repo: r, Actor: core.Actor{Subject: "t"}}, Signed: signed(), Branch: "main", LFS: true}, files, &in)
		require.NoError(t, err)
		made = got
		return read(files[len(files)-1].Path)
	}
	require.Contains(t, put(File{Path: "sub/a.bin", Content: "1"}), "oid sha256:", "those of the branch count")
	require.Equal(t, "data", put(File{Path: attributesFile, Delete: true}, File{Path: "sub/b.bin", Content: "1"}))

	// Without the wish everything is a blob; a server that keeps no objects says so.
	made, err = commit(Commit{})
	require.NoError(t, err)
	require.Equal(t, string(big), read("big.bin"))
	b.large = nil
	_, err = commit(Commit{LFS: true})
	require.Equal(t, core.KindUnsupported, core.KindOf(err))
}
