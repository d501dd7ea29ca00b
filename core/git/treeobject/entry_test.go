package treeobject

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/git/internal/gittest"
)

// Entries in the order of Compare, written by Append, are the object that git itself
// writes of them, and Next reads them back.
func TestAppend_isWhatGitWrites(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			dir := gittest.NewBare(t, "--object-format="+format)
			blob, folder := gittest.AddBlob(t, dir, "x"), gittest.Mktree(t, dir)
			type entry struct{ mode, name, id string }
			var entries []entry
			var lines []string
			for _, name := range []string{"a.b", "a0", "b", "ab", "a-", "a"} {
				entries = append(entries, entry{"100644", name, blob}, entry{"40000", name + "+", folder})
				lines = append(lines, "100644 blob "+blob+"\t"+name, "040000 tree "+folder+"\t"+name+"+")
			}
			entries = append(entries, entry{"40000", "a+b", folder}, entry{"40000", "c", folder}, entry{"100644", "c.x", blob}, entry{"100644", "c0", blob})
			lines = append(lines, "040000 tree "+folder+"\ta+b", "040000 tree "+folder+"\tc", "100644 blob "+blob+"\tc.x", "100644 blob "+blob+"\tc0")
			slices.SortFunc(entries, func(a, b entry) int {
				return Compare(a.name, a.mode == "40000", b.name, b.mode == "40000")
			})
			var object []byte
			for _, e := range entries {
				raw, err := hex.DecodeString(e.id)
				require.NoError(t, err)
				object = Append(object, e.mode, e.name, string(raw))
			}
			got := gittest.Try(t, dir, string(object), "hash-object", "-t", "tree", "--stdin")
			require.Zero(t, got.Code, got.Stderr)
			require.Equal(t, gittest.Mktree(t, dir, lines...), strings.TrimSpace(got.Stdout))

			for _, want := range entries {
				e, rest, err := Next(object, len(blob)/2)
				require.NoError(t, err)
				require.Equal(t, want, entry{string(e.Mode), string(e.Name), string(e.ObjectID())})
				require.Equal(t, want.mode == "40000", e.Folder)
				object = rest
			}
			require.Empty(t, object)
		})
	}
}

func TestNext_damaged(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("x", 20)
	for _, data := range []string{" a\x00" + id, "100644", "100644 a", "100644 a\x00" + id[1:]} {
		_, _, err := Next([]byte(data), 20)
		require.ErrorIs(t, err, ErrDamaged, "%q", data)
	}
	e, _, err := Next([]byte("040000 a\x00"+id), 20)
	require.NoError(t, err)
	require.True(t, e.Folder, "old programs wrote a leading zero")
}
