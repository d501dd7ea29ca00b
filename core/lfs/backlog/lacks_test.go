package backlog

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
)

// TestService_Lacks holds a tip until its objects are here or the host lacks them, and
// says once they do that its ref may follow.
func TestService_Lacks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	b.commit("refs/heads/main", map[string]string{"a.txt": "nothing of LFS"})
	tip := func(ref string) core.ObjectID { return core.ObjectID(coretest.Run(t, b.dir, "rev-parse", ref)) }
	lacks := func() bool {
		t.Helper()
		lacks, err := b.Lacks(ctx, b.repo, tip(core.TrackingPrefix+"heads/main"))
		require.NoError(t, err)
		return lacks
	}
	coretest.Run(t, b.dir, "update-ref", core.TrackingPrefix+"heads/main", "refs/heads/main")
	require.False(t, lacks())
	b.commit(core.TrackingPrefix+"heads/main", map[string]string{".gitattributes": attributes, "a.bin": text(1), "b.bin": text(2)})
	require.True(t, lacks())
	require.Equal(t, int64(2), b.backlog().Objects)
	row := core.Rewrite{
		ID: core.NewID("rw", b.clock.Now()), RepoID: b.repo.ID, Ref: "refs/heads/main", Old: tip("refs/heads/main"), New: tip(core.TrackingPrefix + "heads/main"),
		Source: core.SourceSync, Actor: core.SystemSubject, State: core.RewriteHeld, AwaitsLFS: true, CreatedAt: b.clock.Now(),
	}
	require.NoError(t, b.store.AddRewrite(ctx, row))
	b.host.down = core.Errorf(core.KindUpstreamUnavailable, "away")
	b.Work(ctx, b.repo.ID)
	require.True(t, lacks())
	require.Zero(t, b.arrived)

	b.host.down, b.host.lacks[object(2).OID] = nil, true
	b.clock.Advance(time.Hour)
	b.Work(ctx, b.repo.ID)
	require.False(t, lacks(), "one is here, and the host does not have the other")
	require.Equal(t, 1, b.arrived)
	row.State = core.RewriteFollowed
	require.NoError(t, b.store.SaveRewrite(ctx, row))
	b.Work(ctx, b.repo.ID)
	require.Equal(t, 1, b.arrived)
}
