package mirror_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
)

// moveShallow gives the upstream's main three more commits, of which it has the
// last one alone, and returns where it can complete itself from.
func moveShallow(b *mirrortest.Bench, r core.Repository, one core.ObjectID) (full string, three core.ObjectID) {
	b.Helper()
	dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
	require.NoError(b, err)
	full = b.TempDir()
	coretest.Run(b, full, "clone", "-q", "--bare", dir, full)
	two := coretest.Commit(b, full, "two", one)
	three = coretest.Commit(b, full, "three", two)
	coretest.Run(b, full, "update-ref", "refs/heads/main", string(three))
	b.ForgeGit(r, "fetch", "-q", "--depth=1", "file://"+full, "+refs/heads/*:refs/heads/*")
	require.Equal(b, "true", b.ForgeGit(r, "rev-parse", "--is-shallow-repository"))
	return full, three
}

// A shallow upstream: git says so in a warning and ends with status 0. The copy
// must not take history of which a part is missing, neither at first nor later.
func TestService_shallowUpstream(t *testing.T) {
	t.Parallel()
	for _, first := range []bool{true, false} {
		name := map[bool]string{true: "first sync", false: "healthy copy"}[first]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := mirrortest.New(t, coretest.Options{})
			r := b.Synced("a")
			one := b.ForgeCommit(r, "refs/heads/main", "one")
			// With four refs a first sync begins with a step for the default branch.
			for _, ref := range []string{"refs/heads/x", "refs/heads/y", "refs/heads/z"} {
				b.ForgeCommit(r, ref, ref)
			}
			if !first {
				require.NoError(t, b.Sync(r, ""))
				b.RequireEqual(r)
			}
			before := b.Refs(r, "refs/")
			full, three := moveShallow(b, r, one)
			for range 2 { // the second time the objects are here already
				err := b.Sync(r, "")
				require.ErrorContains(t, err, `the upstream is a shallow repository: the history of "refs/heads/main" is cut off there`)
				require.Equal(t, core.ClassCorrupt, b.State(r).LastClass)
				require.Equal(t, !first, b.State(r).Ready())
				refs := b.Refs(r, "refs/")
				for ref, id := range refs {
					require.NotEqual(t, three, id, "%s is on history that is incomplete here", ref)
				}
				if !first {
					require.Equal(t, before, refs)
				}
				coretest.Run(t, b.Path(r), "fsck", "--connectivity-only")
				if !first {
					require.ErrorContains(t, b.Sync(r, "main"), "shallow", "nor a single ref")
					require.ErrorContains(t, b.Mirror.FetchObject(t.Context(), r, three), "shallow", "nor an object by its id")
				}
			}

			b.ForgeGit(r, "fetch", "-q", "--unshallow", "file://"+full, "+refs/heads/*:refs/heads/*")
			require.NoError(t, b.Sync(r, ""))
			b.RequireEqual(r)
			coretest.Run(t, b.Path(r), "rev-list", "--objects", "--all")
		})
	}
}

// The last step of a first sync writes no ref, and git warns of it as well.
func TestService_shallowUpstream_lastStepOfAFirstSync(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r := b.Synced("a")
	one := b.ForgeCommit(r, "refs/heads/main", "one")
	full, three := moveShallow(b, r, one)
	require.ErrorContains(t, b.Sync(r, ""), "is a shallow repository")
	require.Empty(t, b.Refs(r, "refs/"))
	require.ErrorContains(t, b.Sync(r, ""), "is a shallow repository")
	b.ForgeGit(r, "fetch", "-q", "--unshallow", "file://"+full, "+refs/heads/*:refs/heads/*")
	require.NoError(t, b.Sync(r, ""))
	b.RequireEqual(r)
	require.Equal(t, three, b.Refs(r)["refs/heads/main"])
	coretest.Run(t, b.Path(r), "rev-list", "--objects", "--all")
}
