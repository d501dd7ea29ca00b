package scan_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/lfs/scan"
)

func TestMain(m *testing.M) { coretest.Main(m) }

const attributes = "# large files\n*.bin filter=lfs diff=lfs merge=lfs -text\n"

// bed is a repository and its scanner.
type bed struct {
	testing.TB
	dir     string
	scanner *scan.Scanner
}

func newBed(t *testing.T, flags ...string) *bed {
	t.Helper()
	b := &bed{TB: t, dir: t.TempDir()}
	coretest.Run(t, b.dir, append([]string{"init", "--quiet", "--bare"}, flags...)...)
	g, err := git.New(t.Context(), git.Options{Logger: hclog.NewNullLogger()})
	require.NoError(t, err)
	objects := catfile.NewPool(g, catfile.Options{})
	t.Cleanup(func() { require.NoError(t, objects.Close()) })
	b.scanner = scan.New(g, objects)
	return b
}

// commit makes a commit of the parent's files and these; "" takes a file away.
func (b *bed) commit(parent core.ObjectID, files map[string]string) core.ObjectID {
	b.Helper()
	var in strings.Builder
	fmt.Fprintf(&in, "commit refs/heads/made\ncommitter C <c@example.com> 1700000000 +0000\ndata 0\n")
	if parent != "" {
		fmt.Fprintf(&in, "from %s\n", parent)
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		content := files[path]
		switch {
		case content == "":
			fmt.Fprintf(&in, "D %s\n", path)
		case strings.HasPrefix(path, "link"):
			fmt.Fprintf(&in, "M 120000 inline %s\ndata %d\n%s\n", path, len(content), content)
		default:
			fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", path, len(content), content)
		}
	}
	out, err := coretest.TryRun(b.Context(), b.dir, in.String(), "fast-import", "--quiet", "--force")
	require.NoError(b, err, out)
	return core.ObjectID(coretest.Run(b, b.dir, "rev-parse", "refs/heads/made"))
}

// object is the pointer of the nth object.
func object(n int) lfs.Pointer {
	return lfs.Pointer{OID: lfs.OID(fmt.Sprintf("%064x", n)), Size: int64(n)}
}

func text(n int) string { return string(object(n).Encode()) }

// look returns what a scan finds, as "path n".
func (b *bed) look(tips, known []core.ObjectID) (uses bool, found []string) {
	b.Helper()
	uses, err := b.scanner.New(b.Context(), b.dir, tips, known, gather(&found))
	require.NoError(b, err)
	slices.Sort(found)
	return uses, found
}

func gather(into *[]string) func([]scan.Found) error {
	return func(all []scan.Found) error {
		for _, f := range all {
			*into = append(*into, fmt.Sprintf("%s %d", f.Path, f.Size))
		}
		return nil
	}
}

func ids(ids ...core.ObjectID) []core.ObjectID { return ids }

func TestScanner_New(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"sha1", "sha256"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, "--object-format="+format)
			first := b.commit("", map[string]string{
				".gitattributes": attributes, "a.bin": text(1), "deep/er/b.bin": text(2), "with space ä.bin": text(3),
				"README": "nothing large here\n", "large.txt": text(4) + strings.Repeat("x", 2000), "link.bin": "a.bin",
			})
			uses, found := b.look(ids(first), nil)
			require.True(t, uses)
			require.Equal(t, []string{"a.bin 1", "deep/er/b.bin 2", "with space ä.bin 3"}, found)

			// Only what is new, though the attributes are old.
			second := b.commit(first, map[string]string{"c.bin": text(5), "a.bin": text(6)})
			uses, found = b.look(ids(second), ids(first))
			require.True(t, uses)
			require.Equal(t, []string{"a.bin 6", "c.bin 5"}, found)
			_, found = b.look(ids(second), ids(second))
			require.Empty(t, found)

			// Several tips, a tag, and an old tip that is gone.
			other := b.commit(first, map[string]string{"d.bin": text(7)})
			coretest.Run(t, b.dir, "-c", "user.name=T", "-c", "user.email=t@example.com", "tag", "-a", "-m", "t", "v1", string(second))
			tag := core.ObjectID(coretest.Run(t, b.dir, "rev-parse", "refs/tags/v1"))
			gone := core.ObjectID(strings.Repeat("1", len(first)))
			_, found = b.look(ids(other, tag), ids(first, gone))
			require.Equal(t, []string{"a.bin 6", "c.bin 5", "d.bin 7"}, found)

			// A whole tree, with what is old in it.
			var whole []string
			require.NoError(t, b.scanner.Tree(t.Context(), b.dir, tag, gather(&whole)))
			slices.Sort(whole)
			require.Equal(t, []string{"a.bin 6", "c.bin 5", "deep/er/b.bin 2", "with space ä.bin 3"}, whole)
		})
	}
}

// What decides whether there is a look at all.
func TestScanner_Uses(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	plain := b.commit("", map[string]string{"a.bin": text(1), "x/y/z.bin": text(2), ".gitattributes": "*.bin binary\n# filter=lfs\n"})
	uses, found := b.look(ids(plain), nil)
	require.False(t, uses)
	require.Empty(t, found, "a pointer that nothing filters is a text")

	below := b.commit(plain, map[string]string{"x/.gitattributes": "*.bin filter=lfs -text"})
	uses, found = b.look(ids(below), nil)
	require.True(t, uses)
	require.Equal(t, []string{"a.bin 1", "x/y/z.bin 2"}, found)
	later := b.commit(below, map[string]string{"x/y/later.bin": text(3)})
	uses, found = b.look(ids(later), ids(below))
	require.True(t, uses, "attributes below the top that have not changed")
	require.Equal(t, []string{"x/y/later.bin 3"}, found)

	macro := b.commit(plain, map[string]string{".gitattributes": "[attr]large filter=lfs -text\n*.bin large\n"})
	uses, _ = b.look(ids(macro), nil)
	require.True(t, uses)
	none := b.commit(macro, map[string]string{".gitattributes": ""})
	uses, _ = b.look(ids(none), nil)
	require.False(t, uses)
	uses, _ = b.look(ids(plain, none, macro), nil)
	require.True(t, uses, "one of several tips")
	uses, _ = b.look(nil, nil)
	require.False(t, uses)
	blob := core.ObjectID(coretest.Run(t, b.dir, "rev-parse", string(plain)+":a.bin"))
	uses, _ = b.look(ids(blob), nil)
	require.False(t, uses, "a tag of a file has no tree")
	huge := b.commit("", map[string]string{".gitattributes": strings.Repeat("#\n", 4<<20), "a.bin": text(1)})
	uses, _ = b.look(ids(huge), nil)
	require.True(t, uses, "too much to read: the pointers are looked for")
}

// More pointers than are read at once, and an end in the middle.
func TestScanner_New_many(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	files := map[string]string{".gitattributes": attributes}
	for i := range 1500 {
		files[fmt.Sprintf("%d/%d.bin", i%7, i)] = text(i + 1)
		files[fmt.Sprintf("%d/%d.txt", i%7, i)] = fmt.Sprintf("text %d\n", i)
	}
	tip := b.commit("", files)
	_, found := b.look(ids(tip), nil)
	require.Len(t, found, 1500)
	errEnough := errors.New("enough")
	calls := 0
	_, err := b.scanner.New(t.Context(), b.dir, ids(tip), nil, func([]scan.Found) error { calls++; return errEnough })
	require.ErrorIs(t, err, errEnough)
	require.Equal(t, 1, calls)
	_, err = b.scanner.New(t.Context(), b.dir+"-absent", ids(tip), nil, func([]scan.Found) error { return nil })
	require.Error(t, err)
}
