package mirror_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
)

// others returns the refs beside branches, tags and what is the server's own.
func others(b *mirrortest.Bench, r core.Repository) map[string]core.ObjectID {
	b.Helper()
	return b.Refs(r, "refs/meta/", "refs/stash", "refs/changes/", "refs/notes/")
}

// What was pushed beside branches and tags in former times, and no upstream got,
// is no part of a copy: the next sync takes it away, and keeps the tips.
func TestSync_refsThatNoUpstreamHasBecomeKeptTips(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	for _, ref := range []string{"refs/meta/config", "refs/stash", "refs/changes/01/1/1", "refs/notes/n"} {
		coretest.Run(t, b.Path(r), "update-ref", ref, string(one))
	}
	require.NoError(t, b.Store.SetDigest(t.Context(), r.ID, "")) // as the migration does
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, map[string]core.ObjectID{"refs/notes/n": one}, others(b, r), "notes are ours")
	b.RequireEqual(r)
	rows, err := b.Store.Rewrites(t.Context(), core.RewriteFilter{RepoID: r.ID, Limit: 100})
	require.NoError(t, err)
	kept := map[string]core.ObjectID{}
	for _, row := range rows {
		require.Equal(t, core.RewriteRetained, row.State)
		require.Equal(t, row.Old, b.Refs(r, core.KeptPrefix)[row.KeptRef()])
		kept[row.Ref] = row.Old
	}
	require.Equal(t, map[string]core.ObjectID{"refs/meta/config": one, "refs/stash": one, "refs/changes/01/1/1": one}, kept)
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, "unchanged", b.Runs(r)[0].Outcome)
}

// What an include pattern names is mirrored both ways, like a branch.
func TestSync_refsThatThePatternsName(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, one := b.Mirrored("a")
	there := func(ref string) core.ObjectID { return core.ObjectID(b.Forge.Ref(coretest.ForgePath(r), ref)) }
	config := b.ForgeCommit(r, "refs/meta/config", "rules")
	b.ForgeCommit(r, "refs/changes/01/1/1", "not named")
	require.NoError(t, b.Sync(r, ""))
	require.Empty(t, others(b, r))

	require.NoError(t, b.Store.SaveSettings(t.Context(), r.ID, core.Settings{Include: []string{"refs/heads/**", "refs/meta/**", "refs/notes/**", "refs/internal/**"}}))
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, map[string]core.ObjectID{"refs/meta/config": config}, others(b, r))

	require.Empty(t, b.Write(r, core.RefUpdate{Name: "refs/meta/other", New: one})[0].Reason)
	require.Equal(t, one, there("refs/meta/other"))
	require.Equal(t, one, others(b, r)["refs/meta/other"])
	require.Empty(t, b.Write(r, core.RefUpdate{Name: "refs/meta/config", Old: config, New: one})[0].Reason)
	require.Equal(t, one, there("refs/meta/config"))
	require.Empty(t, b.Write(r, core.RefUpdate{Name: "refs/notes/n", New: one})[0].Reason)
	require.Empty(t, there("refs/notes/n"), "notes stay ours")
	require.NotEmpty(t, b.Write(r, core.RefUpdate{Name: "refs/internal/x", New: one})[0].Reason)
	require.NotEmpty(t, b.Write(r, core.RefUpdate{Name: "refs/changes/01/1/1", New: one})[0].Reason)
	b.Settle(r)
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, "unchanged", b.Runs(r)[0].Outcome, "the copy knows what it pushed itself")

	next := b.ForgeCommit(r, "refs/meta/config", "moved there", one)
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, next, others(b, r)["refs/meta/config"])
	require.NoError(t, b.Store.SaveSettings(t.Context(), r.ID, core.Settings{}))
	require.NoError(t, b.Sync(r, ""))
	require.Equal(t, map[string]core.ObjectID{"refs/notes/n": one}, others(b, r))
}
