package mirror_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
)

// forgePacked puts a ref straight into the upstream's packed-refs, where its name
// may be a folder of another one, as hosts allow that do not store refs as files.
func forgePacked(b *mirrortest.Bench, r core.Repository, name string, id core.ObjectID) {
	b.Helper()
	dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
	require.NoError(b, err)
	b.ForgeGit(r, "pack-refs", "--all")
	path := filepath.Join(dir, "packed-refs")
	old, err := os.ReadFile(path)
	require.NoError(b, err)
	lines := bytes.SplitAfter(old, []byte("\n"))
	// Without the header, which says that the lines are sorted.
	require.NoError(b, os.WriteFile(path, append(bytes.Join(lines[1:], nil), string(id)+" "+name+"\n"...), 0o644))
}

// Names that cannot be beside each other keep nothing else from being mirrored.
func TestService_upstreamListsARefAndItsFolder(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	const short, long = "refs/heads/zz1", "refs/heads/zz1/q"
	skipped := func(refs ...core.SkippedRef) {
		t.Helper()
		require.Equal(t, refs, b.State(r).Skipped)
	}

	// What is here stays, though it is the longer name.
	b.ForgeGit(r, "update-ref", long, string(one))
	require.NoError(t, b.Sync(r, ""))
	two := b.ForgeCommit(r, "refs/heads/main", "two", one)
	forgePacked(b, r, short, two)
	require.NoError(t, b.Sync(r, "zz1"))
	require.Equal(t, map[string]core.ObjectID{"refs/heads/main": two, long: one}, b.Refs(r))
	skipped(core.SkippedRef{Ref: short, ConflictsWith: long})
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, "unchanged", b.Runs(r)[0].Outcome)

	// A push to the other one gets the reason; one beside it goes on.
	results := b.Write(r, core.RefUpdate{Name: short, New: one}, core.RefUpdate{Name: "refs/heads/ok", New: one})
	require.Equal(t, core.KindConflict, results[0].Kind)
	require.Equal(t, `the upstream has "refs/heads/zz1/q" and "refs/heads/zz1", which cannot both be here: delete or rename one of them there, then sync`, results[0].Reason)
	require.True(t, results[1].OK())

	// Asking for it alone looks at everything, since the conflict may be over.
	require.NoError(t, b.Sync(r, "zz1"))
	require.NotContains(t, b.Refs(r), short)
	b.ForgeGit(r, "update-ref", "-d", long)
	require.NoError(t, b.Sync(r, "zz1"))
	require.Equal(t, two, b.Refs(r)[short])
	skipped()
	b.RequireEqual(r)

	// Another one, among more refs than are asked for by id.
	three := b.ForgeCommit(r, short, "three", two)
	forgePacked(b, r, long, one)
	var in bytes.Buffer
	for i := range 1100 {
		fmt.Fprintf(&in, "create refs/heads/many/%d %s\n", i, one)
	}
	dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
	require.NoError(t, err)
	_, err = coretest.TryRun(t.Context(), dir, in.String(), "update-ref", "--stdin")
	require.NoError(t, err)
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, three, b.Refs(r)[short])
	require.Len(t, b.Refs(r), 1103)
	skipped(core.SkippedRef{Ref: long, ConflictsWith: short})

	// A deletion of what is here, through us, makes room.
	require.True(t, b.Write(r, core.RefUpdate{Name: short, Old: three})[0].OK())
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, one, b.Refs(r)[long])
	skipped()
	b.RequireEqual(r)
}

// Nothing is here at a first sync: the default branch is taken, else the shorter name.
func TestService_firstSync_upstreamListsARefAndItsFolder(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r := b.Synced("a")
	one := b.ForgeCommit(r, "refs/heads/trunk/next", "one")
	b.ForgeGit(r, "symbolic-ref", "HEAD", "refs/heads/trunk/next")
	forgePacked(b, r, "refs/heads/trunk", one)
	forgePacked(b, r, "refs/tags/v1", one)
	forgePacked(b, r, "refs/tags/v1/rc", one)
	forgePacked(b, r, "refs/tags/v1/rc/x", one)
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, map[string]core.ObjectID{"refs/heads/trunk/next": one, "refs/tags/v1": one}, b.Refs(r))
	require.Equal(t, "trunk/next", b.Reload(r).DefaultBranch)
	require.Equal(t, []core.SkippedRef{
		{Ref: "refs/heads/trunk", ConflictsWith: "refs/heads/trunk/next"},
		{Ref: "refs/tags/v1/rc", ConflictsWith: "refs/tags/v1"},
		{Ref: "refs/tags/v1/rc/x", ConflictsWith: "refs/tags/v1"},
	}, b.State(r).Skipped)
	plan, err := b.Mirror.Plan(t.Context(), b.Reload(r), core.Settings{})
	require.NoError(t, err)
	require.Empty(t, plan)
}

// A host that does not store refs as files may have names that cannot be here.
func TestService_upstreamListsANameThatIsTooLong(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r := b.Synced("a")
	one := b.ForgeCommit(r, "refs/heads/main", "one")
	long := "refs/heads/" + strings.Repeat("x", 300)
	deep := "refs/tags" + strings.Repeat("/"+strings.Repeat("y", 200), 15)
	forgePacked(b, r, long, one)
	forgePacked(b, r, deep, one)
	require.NoError(t, b.Sync(r, ""))
	two := b.ForgeCommit(r, "refs/heads/main", "two", one)
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, map[string]core.ObjectID{"refs/heads/main": two}, b.Refs(r))
	require.Equal(t, []core.SkippedRef{{Ref: long}, {Ref: deep}}, b.State(r).Skipped)
	require.Contains(t, b.State(r).Skipped[0].Reason(), "245 bytes")
	for _, name := range []string{long, deep} {
		result := b.Write(r, core.RefUpdate{Name: name, New: two})[0]
		require.Equal(t, core.KindInvalid, result.Kind, result.Reason)
	}
}
