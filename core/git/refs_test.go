package git

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/internal/gittest"
)

// files returns every file of a repository outside of its objects.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "/objects/") {
			return err
		}
		text, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir)] = string(text)
		return err
	}))
	return all
}

func upd(name, before, after string) RefChange {
	return RefChange{RefUpdate: core.RefUpdate{Name: name, Old: core.ObjectID(before), New: core.ObjectID(after)}}
}

func TestGit_UpdateRefs(t *testing.T) {
	t.Parallel()
	g := newGit(t)
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			dir := gittest.NewBare(t, "--object-format="+format)
			one := gittest.AddCommit(t, dir, "refs/heads/main", "one")
			two := gittest.AddCommit(t, dir, "", "two", one)
			missing := strings.Repeat("1", len(one))
			blob := strings.TrimSpace(gittest.Try(t, dir, "x", "hash-object", "-w", "--stdin").Stdout)
			odd := []string{"refs/heads/\u00fcml\u00e4ut", "refs/heads/a'b\"c", "refs/heads/$(x)", "refs/heads/a%20b", "refs/tags/-dash", "refs/heads/@", "refs/heads/{x}", "refs/x;y|z&/!#"}
			for name, tc := range map[string]struct {
				change RefChange
				kind   UpdateRefErrorKind
			}{
				"stale":            {upd("refs/heads/main", two, two), RefStale},
				"exists":           {upd("refs/heads/main", "", two), RefStale},
				"exists, zeros":    {upd("refs/heads/main", strings.Repeat("0", len(one)), two), RefStale},
				"gone":             {upd("refs/heads/gone", one, two), RefStale},
				"delete of gone":   {upd("refs/heads/gone", one, ""), RefStale},
				"conflict below":   {upd("refs/heads/main/x", "", one), RefConflict},
				"conflict above":   {upd("refs/heads", "", one), RefConflict},
				"missing object":   {upd("refs/heads/new", "", missing), RefNoObject},
				"blob on a branch": {upd("refs/heads/new", "", blob), RefNoObject},
				"bad name":         {upd("refs/heads/a..b", "", one), RefBadName},
			} {
				before := files(t, dir)
				for _, f := range []func() error{
					func() error {
						return g.CheckRefs(t.Context(), dir, []RefChange{upd("refs/heads/ok", "", one), tc.change})
					},
					func() error {
						n, err := g.UpdateRefs(t.Context(), dir, []RefChange{upd("refs/heads/ok", "", one), tc.change})
						require.Zero(t, n)
						return err
					},
				} {
					err := f()
					var re *RefError
					require.ErrorAs(t, err, &re, name)
					require.Equal(t, tc.kind, re.Kind, "%s: %v", name, err)
					require.Equal(t, before, files(t, dir), name)
				}
			}
			before := files(t, dir)
			require.NoError(t, g.CheckRefs(t.Context(), dir, []RefChange{upd("refs/heads/a/b", "", one), upd("refs/heads/main", one, two)}))
			require.Equal(t, before, files(t, dir), "a check changes nothing and leaves no lock")

			n, err := g.UpdateRefs(t.Context(), dir, []RefChange{upd("refs/heads/main", one, "")}, nil, []RefChange{upd("refs/heads/main/x", "", two)})
			require.NoError(t, err)
			require.Equal(t, 2, n)
			n, err = g.UpdateRefs(t.Context(), dir, []RefChange{upd("refs/heads/main/x", two, "")}, []RefChange{upd("refs/heads/y", one, two)})
			require.Error(t, err)
			require.Equal(t, 1, n)
			force := []RefChange{{RefUpdate: core.RefUpdate{Name: "refs/heads/f", New: core.ObjectID(one)}, Force: true}, {RefUpdate: core.RefUpdate{Name: "refs/heads/none"}, Force: true}}
			_, err = g.UpdateRefs(t.Context(), dir, force)
			require.NoError(t, err)
			var all []RefChange
			for _, name := range odd {
				all = append(all, upd(name, "", one))
			}
			_, err = g.UpdateRefs(t.Context(), dir, all)
			require.NoError(t, err)
			have, err := g.RefsNamed(t.Context(), dir, append(odd, "refs/heads/nothing"))
			require.NoError(t, err)
			require.Len(t, have, len(odd))
			_, err = g.UpdateRefs(t.Context(), dir)
			require.NoError(t, err, "nothing to do")
		})
	}
}

func TestGit_UpdateRefs_lockedByAnother(t *testing.T) {
	t.Parallel()
	g := newGit(t)
	dir := gittest.NewBare(t)
	one := gittest.AddCommit(t, dir, "refs/heads/main", "one")
	lock := filepath.Join(dir, "refs/heads/main.lock")
	require.NoError(t, os.WriteFile(lock, nil, 0o600))
	_, err := g.UpdateRefs(t.Context(), dir, []RefChange{upd("refs/heads/main", one, "")})
	var re *RefError
	require.ErrorAs(t, err, &re)
	require.Equal(t, RefLocked, re.Kind)
	require.Equal(t, "refs/heads/main", re.Ref)
	require.NoError(t, os.Remove(lock))
}

func TestGit_UpdateRefs_replacesASymbolicRef(t *testing.T) {
	t.Parallel()
	g := newGit(t)
	dir := gittest.NewBare(t)
	one := gittest.AddCommit(t, dir, "refs/heads/main", "one")
	two := gittest.AddCommit(t, dir, "", "two", one)
	gittest.Run(t, dir, "symbolic-ref", "refs/heads/alias", "refs/heads/main")
	_, err := g.UpdateRefs(t.Context(), dir, []RefChange{upd("refs/heads/alias", one, two)})
	require.NoError(t, err)
	require.Equal(t, one, gittest.Run(t, dir, "rev-parse", "refs/heads/main"), "what it pointed to stays")
	require.Equal(t, two, gittest.Run(t, dir, "rev-parse", "refs/heads/alias"))
}

func TestGit_Refs_many(t *testing.T) {
	t.Parallel()
	g := newGit(t)
	dir := gittest.NewBare(t)
	one := gittest.AddCommit(t, dir, "refs/heads/main", "one")
	var packed strings.Builder
	packed.WriteString("# pack-refs with: peeled fully-peeled sorted \n" + one + " refs/heads/main\n")
	const n = 50_000
	names := make([]string, n)
	for i := range n {
		names[i] = fmt.Sprintf("refs/tags/v%06d", i)
		fmt.Fprintf(&packed, "%s %s\n", one, names[i])
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "packed-refs"), []byte(packed.String()), 0o600))
	refs, err := g.Refs(t.Context(), dir)
	require.NoError(t, err)
	require.Len(t, refs, n+1)
	require.Equal(t, Ref{"refs/heads/main", core.ObjectID(one)}, refs[0])
	require.Equal(t, "refs/tags/v049999", refs[n].Name)
	named, err := g.RefsNamed(t.Context(), dir, names)
	require.NoError(t, err)
	require.Len(t, named, n)
	some, err := g.Refs(t.Context(), dir, "refs/heads/", "refs/tags/v000001", "refs/tags/v")
	require.NoError(t, err)
	require.Len(t, some, 2, "a prefix ends at a slash")
}

func TestGit_RefsNamed_isExact(t *testing.T) {
	t.Parallel()
	g := newGit(t)
	dir := gittest.NewBare(t)
	one := gittest.AddCommit(t, dir, "refs/heads/a/b", "one")
	have, err := g.RefsNamed(t.Context(), dir, []string{"refs/heads/a"})
	require.NoError(t, err)
	require.Empty(t, have)
	have, err = g.RefsNamed(t.Context(), dir, nil)
	require.NoError(t, err)
	require.Empty(t, have, "no names are not all")
	_, err = g.Refs(t.Context(), filepath.Join(dir, "nothing"))
	require.Error(t, err)
	ok, err := g.IsAncestor(t.Context(), dir, core.ObjectID(one), core.ObjectID(one))
	require.NoError(t, err)
	require.True(t, ok)
	two := gittest.AddCommit(t, dir, "", "two")
	ok, err = g.IsAncestor(t.Context(), dir, core.ObjectID(one), core.ObjectID(two))
	require.NoError(t, err)
	require.False(t, ok)
	_, err = g.IsAncestor(t.Context(), dir, core.ObjectID(strings.Repeat("1", 40)), core.ObjectID(one))
	require.Error(t, err)
}
