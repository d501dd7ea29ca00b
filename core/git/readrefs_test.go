package git

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/internal/gittest"
)

// TestReadRefs_asGit has refs in all forms, good and bad. What is read without git is
// what git lists; the rest is left to git.
func TestReadRefs_asGit(t *testing.T) {
	t.Parallel()
	g := newGit(t)
	for _, format := range []string{"sha1", "sha256"} {
		dir := gittest.NewBare(t, "--object-format="+format)
		one := gittest.AddCommit(t, dir, "refs/heads/main", "one")
		two := gittest.AddCommit(t, dir, "", "two", one)
		gittest.Run(t, dir, "tag", "-a", "-m", "a tag", "v1", one)
		tag := gittest.Run(t, dir, "rev-parse", "refs/tags/v1")
		zero := strings.Repeat("0", len(one))
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "refs")))
		const header = "# pack-refs with: peeled fully-peeled sorted \n"
		usual := header + two + " refs/heads/a/b\n" + one + " refs/heads/main\n" + tag + " refs/tags/v1\n^" + one + "\n"

		for name, tt := range map[string]struct {
			loose  map[string]string // by name; its content
			packed string            // "": there is no such file
			other  map[string]string // files of the repository; "" removes one
			asked  bool              // git must be asked
			peeled bool              // the peeled values are known
		}{
			"nothing":     {peeled: true},
			"only packed": {packed: usual, peeled: true},
			"only files":  {loose: map[string]string{"refs/heads/x": one + "\n", "refs/heads/é": two + "\n", "refs/stash": one + "\n"}},
			"files go first": {packed: usual, loose: map[string]string{
				"refs/heads/main": two + "\n", "refs/heads/z": one + "\n", "refs/internal/upstream/refs/heads/main": one + "\n"}},
			"a file and a folder of one name":       {packed: usual, loose: map[string]string{"refs/heads/main/x": two + "\n"}},
			"beside":                                {packed: usual, loose: map[string]string{"refs/heads/x": one + "\n", "refs/heads/y.lock": "", "refs/heads/.new": "x", "refs/heads/deep/er/and.lock/it": one + "\n"}},
			"locks":                                 {packed: usual, loose: map[string]string{"refs/heads/main.lock": "", "refs/heads/new.lock": two + "\n", "refs/heads/.hidden": "x"}, peeled: true},
			"packed by an old git":                  {packed: "# pack-refs with: peeled \n" + one + " refs/heads/main\n" + tag + " refs/tags/v1\n^" + one + "\n"},
			"packed without a header, in any order": {packed: one + " refs/tags/z\n" + two + " refs/heads/main\n"},
			"an empty packed-refs":                  {packed: " "},
			"a symbolic ref":                        {packed: usual, loose: map[string]string{"refs/heads/alias": "ref: refs/heads/main\n"}, asked: true},
			"a symbolic ref to nothing":             {packed: usual, loose: map[string]string{"refs/heads/alias": "ref: refs/heads/none\n"}, asked: true},
			"an empty file":                         {packed: usual, loose: map[string]string{"refs/heads/main": ""}, asked: true},
			"half an id":                            {packed: usual, loose: map[string]string{"refs/heads/main": one[:20] + "\n"}, asked: true},
			"an id and more":                        {packed: usual, loose: map[string]string{"refs/heads/x": one + " and more\n"}, asked: true},
			"an id of another kind":                 {loose: map[string]string{"refs/heads/x": (one + one)[:104-len(one)] + "\n"}, asked: true},
			"without an end of line":                {loose: map[string]string{"refs/heads/x": one}, asked: true},
			"upper case":                            {loose: map[string]string{"refs/heads/x": strings.ToUpper(two) + "\n"}, asked: true},
			"zeros":                                 {loose: map[string]string{"refs/heads/x": zero + "\n"}, asked: true},
			"a bad name":                            {packed: usual, loose: map[string]string{"refs/heads/a..b": one + "\n"}, asked: true},
			"a bad name in packed-refs":             {packed: header + one + " refs/heads/a..b\n" + one + " refs/heads/main\n", asked: true},
			"zeros in packed-refs":                  {packed: header + zero + " refs/heads/main\n", asked: true},
			"garbage in packed-refs":                {packed: usual + "garbage\n", asked: true},
			"a peeled value that is none":           {packed: usual + "^" + one[:10] + "\n", asked: true},
			"packed-refs cut off":                   {packed: strings.TrimSuffix(usual, "\n"), asked: true},
			"no HEAD":                               {packed: usual, other: map[string]string{"HEAD": ""}, asked: true},
			"a broken HEAD":                         {packed: usual, other: map[string]string{"HEAD": "main\n"}, asked: true},
			"a HEAD of its own":                     {packed: usual, other: map[string]string{"HEAD": one + "\n"}, peeled: true},
			"no config":                             {packed: usual, other: map[string]string{"config": ""}, asked: true},
			"a config that takes in another":        {packed: usual, other: map[string]string{"config": "[include]\n\tpath = more\n"}, asked: true},
		} {
			restore := map[string][]byte{}
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "refs", "heads"), 0o700))
			write := func(name, content string) {
				path := filepath.Join(dir, name)
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
				require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			}
			for file, content := range tt.loose {
				write(file, content)
			}
			if tt.packed != "" {
				write("packed-refs", strings.TrimPrefix(tt.packed, " "))
			}
			for file, content := range tt.other {
				before, err := os.ReadFile(filepath.Join(dir, file))
				require.NoError(t, err)
				restore[file] = before
				require.NoError(t, os.Remove(filepath.Join(dir, file)))
				if content != "" {
					write(file, content)
				}
			}
			for _, prefixes := range [][]string{nil, {"refs/heads/"}, {"refs/heads/main", "refs/tags"}, {"refs/heads/a", "refs/tags/v", "refs/none/"}} {
				want, wantErr := g.askForRefs(t.Context(), dir, prefixes)
				got, err := g.Refs(t.Context(), dir, prefixes...)
				require.Equal(t, wantErr == nil, err == nil, "%s: %s: %v: %v, not %v", format, name, prefixes, err, wantErr)
				require.Equal(t, append([]Ref{}, want...), append([]Ref{}, got...), "%s: %s: %v", format, name, prefixes)
				read, ok := readRefs(dir, prefixes)
				if prefixes == nil {
					require.Equal(t, !tt.asked, ok, "%s: %s", format, name)
					require.Equal(t, tt.peeled, ok && read.peeled, "%s: %s", format, name)
				}
				if ok && read.peeled && read.refs["refs/tags/v1"].id != "" {
					require.Equal(t, core.ObjectID(one), read.refs["refs/tags/v1"].peeled)
					require.Empty(t, read.refs["refs/heads/main"].peeled)
				}
				if format == "sha256" && name != "only packed" && name != "files go first" {
					break // the rest does not depend on the length of ids
				}
			}
			for file, content := range restore {
				write(file, string(content))
			}
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "refs")))
			require.NoError(t, os.RemoveAll(filepath.Join(dir, "packed-refs")))
		}
	}
}

// TestReadRefs_symlink: older gits made links for symbolic refs.
func TestReadRefs_symlink(t *testing.T) {
	t.Parallel()
	g := newGit(t)
	dir := gittest.NewBare(t)
	one := gittest.AddCommit(t, dir, "refs/heads/main", "one")
	require.NoError(t, os.Symlink("main", filepath.Join(dir, "refs/heads/alias")))
	_, ok := readRefs(dir, nil)
	require.False(t, ok)
	refs, err := g.RefMap(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, map[string]core.ObjectID{"refs/heads/main": core.ObjectID(one), "refs/heads/alias": core.ObjectID(one)}, refs)
}

// TestReadRefs_whileOthersPack reads while git moves refs, packs them, and removes their
// files: what is always there is seen each time.
func TestReadRefs_whileOthersPack(t *testing.T) {
	t.Parallel()
	dir := gittest.NewBare(t)
	one := gittest.AddCommit(t, dir, "refs/heads/main", "one")
	two := gittest.AddCommit(t, dir, "", "two", one)
	for i := range 20 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "refs/heads", fmt.Sprint("b", i)), []byte(one+"\n"), 0o600))
	}
	moved := make(chan error, 1)
	go func() {
		for i := range 10 {
			id := []string{two, one}[i%2]
			r := gittest.Try(t, dir, "", "update-ref", "refs/heads/main", id)
			r2 := gittest.Try(t, dir, "", "pack-refs", "--all", "--prune")
			if r.Code != 0 || r2.Code != 0 {
				moved <- fmt.Errorf("%s %s", r.Stderr, r2.Stderr)
				return
			}
		}
		moved <- nil
	}()
	for {
		read, ok := readRefs(dir, []string{"refs/heads/"})
		require.True(t, ok)
		require.Len(t, read.refs, 21)
		require.Contains(t, []core.ObjectID{core.ObjectID(one), core.ObjectID(two)}, read.refs["refs/heads/main"].id)
		select {
		case err := <-moved:
			require.NoError(t, err)
			return
		default:
		}
	}
}
