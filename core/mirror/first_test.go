package mirror_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// Branches that move, appear and go while their objects are on the way: the
// first mirror shows nothing that it did not fetch, and the next run all.
func TestService_firstMirror_branchesMoveMeanwhile(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r := b.Synced("a")
	one := b.ForgeCommit(r, "refs/heads/main", "one")
	for _, ref := range []string{"refs/heads/stays", "refs/heads/moves", "refs/heads/goes", "refs/tags/v1"} {
		b.ForgeGit(r, "update-ref", ref, string(one))
	}
	var once sync.Once
	defer b.Forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindFetch}, Before: func() {
		once.Do(func() {
			b.ForgeCommit(r, "refs/heads/moves", "two")
			b.ForgeCommit(r, "refs/heads/new", "three")
			b.ForgeGit(r, "update-ref", "-d", "refs/heads/goes")
		})
	}})()
	require.NoError(t, b.Sync(r, ""))
	require.True(t, b.State(r).Ready())
	refs := b.Refs(r)
	require.Equal(t, one, refs["refs/heads/main"])
	require.Equal(t, one, refs["refs/heads/stays"])
	coretest.Run(t, b.Path(r), "fsck", "--full")
	b.Settle(r)
	b.RequireEqual(r)
}

// The upstream's HEAD names a branch that does not exist: another one is the
// default branch until it does.
func TestService_firstMirror_unbornHead(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r := b.Synced("a")
	one := b.ForgeCommit(r, "refs/heads/other", "one")
	b.ForgeGit(r, "update-ref", "refs/heads/dev", string(one))
	b.ForgeGit(r, "symbolic-ref", "HEAD", "refs/heads/nowhere")
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, "refs/heads/dev", coretest.Run(t, b.Path(r), "symbolic-ref", "HEAD"))
	r, err := b.Store.RepositoryByID(t.Context(), r.ID)
	require.NoError(t, err)
	require.Equal(t, "dev", r.DefaultBranch)
	require.NoError(t, b.Sync(r, ""))
	b.ForgeGit(r, "update-ref", "refs/heads/nowhere", string(one))
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, "refs/heads/nowhere", coretest.Run(t, b.Path(r), "symbolic-ref", "HEAD"))
}
