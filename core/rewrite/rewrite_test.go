package rewrite_test

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/longtest"
	"github.com/headwater-git/headwater/core/repo"
)

// Whoever rewrites or deletes a branch or tag, the old tip survives every
// maintenance and can be a branch again, here and at the upstream.
func TestInvariant10_oldTipsCanBeRestored(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	for name, rewrite := range map[string]func(r core.Repository, ref string, old, other core.ObjectID){
		"forced by the upstream": func(r core.Repository, ref string, _, other core.ObjectID) {
			b.ForgeGit(r, "update-ref", ref, string(other))
			b.run(r)
		},
		"deleted by the upstream": func(r core.Repository, ref string, _, _ core.ObjectID) {
			b.ForgeGit(r, "update-ref", "-d", ref)
			b.run(r)
		},
		"forced by a push": func(r core.Repository, ref string, old, other core.ObjectID) {
			require.True(t, b.write(r, core.RefUpdate{Name: ref, Old: old, New: other})[0].OK())
		},
		"deleted by a push": func(r core.Repository, ref string, old, _ core.ObjectID) {
			require.True(t, b.write(r, core.RefUpdate{Name: ref, Old: old})[0].OK())
		},
	} {
		for kind, ref := range map[string]string{"branch": "refs/heads/x", "tag": "refs/tags/x"} {
			if kind == "tag" && name != "forced by the upstream" && !longtest.Long() {
				continue // what a tag has of its own does not depend on who moved it
			}
			t.Run(name+" "+kind, func(t *testing.T) {
				r := b.Synced(coretest.Org + core.NewID("r", time.Now()))
				other := b.ForgeCommit(r, "refs/heads/main", "other")
				old := b.ForgeCommit(r, ref, "old", other)
				b.run(r)
				require.Empty(t, b.rows(r), "a first mirror rewrites nothing")
				if kind == "branch" { // one that leaves the old commit behind
					other = b.ForgeCommit(r, "refs/heads/main", "another", other)
					b.run(r)
				}
				rewrite(r, ref, old, other)
				row := b.only(r, core.RewriteRetained)
				require.Equal(t, old, row.Old)
				require.Equal(t, ref, row.Ref)
				require.Equal(t, repo.DefaultRetention, row.ExpiresAt.Sub(row.CreatedAt))
				require.Equal(t, map[string]core.ObjectID{row.KeptRef(): old}, b.kept(r))
				require.Equal(t, []string{core.EventRefRewritten + " " + ref}, b.events(r))

				b.scour(r)
				back, err := b.Restore(t.Context(), b.caller(r), row.ID, "back")
				require.NoError(t, err)
				require.Equal(t, core.RewriteRestored, back.State)
				require.Equal(t, old, b.Refs(r)["refs/heads/back"])
				require.Equal(t, old, b.UpstreamRefs(r)["refs/heads/back"])
				require.Empty(t, b.kept(r), "the branch keeps it now")
				b.scour(r)
				coretest.Run(t, b.Path(r), "fsck", "--full")

				_, err = b.Restore(t.Context(), b.caller(r), row.ID, "again")
				require.Equal(t, core.KindConflict, core.KindOf(err))
			})
		}
	}
}

func TestInvariant10_deletedAndMadeAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	lost := b.ForgeCommit(r, "refs/heads/x", "lost", one)
	b.run(r)
	b.ForgeGit(r, "update-ref", "-d", "refs/heads/x")
	b.run(r)
	b.ForgeCommit(r, "refs/heads/x", "new", one)
	b.run(r)
	row := b.only(r, core.RewriteRetained)
	require.Equal(t, lost, row.Old)
	require.True(t, row.New.IsZero())
	_, err := b.Restore(t.Context(), b.caller(r), row.ID, "x")
	require.Equal(t, core.KindConflict, core.KindOf(err), "the branch is there again")
	require.Len(t, b.kept(r), 1)
	_, err = b.Restore(t.Context(), b.caller(r), row.ID, "x-lost")
	require.NoError(t, err)
}

func TestInvariant10_annotatedTagComesBackAsItsCommit(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	b.ForgeGit(r, "tag", "-a", "-m", "t", "v1", string(one))
	b.run(r)
	b.ForgeGit(r, "tag", "-d", "v1")
	b.run(r)
	row := b.only(r, core.RewriteRetained)
	row, err := b.Restore(t.Context(), b.caller(r), row.ID, "v1-branch")
	require.NoError(t, err)
	require.Equal(t, one, b.Refs(r)["refs/heads/v1-branch"])
	require.Equal(t, core.RewriteRetained, row.State, "the tag object itself is still kept")
	require.Equal(t, "v1-branch", row.Restored)
}

// Neither a clone nor a push sees what is hidden, and no push takes it along.
func TestInvariant20_keptTipsStayHidden(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	b.ForgeCommit(r, "refs/heads/main", "two")
	b.run(r)
	row := b.only(r, core.RewriteRetained)
	require.Equal(t, one, row.Old)
	var adv bytes.Buffer
	require.NoError(t, b.push.Advertise(t.Context(), r, core.Default, &adv))
	require.Contains(t, adv.String(), "refs/heads/main")
	require.NotContains(t, adv.String(), string(one), "also not as .have")
	require.Equal(t, core.KindPermission, b.write(r, core.RefUpdate{Name: row.KeptRef(), Old: one})[0].Kind)
	require.True(t, b.write(r, core.RefUpdate{Name: "refs/heads/y", New: b.Refs(r)["refs/heads/main"]})[0].OK())
	for name := range b.Forge.Refs(coretest.ForgePath(r)) {
		require.NotContains(t, name, "internal")
	}
}

func TestService_List_fastForwardsAndFirstMirrorsAreNoRewrites(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	two := b.ForgeCommit(r, "refs/heads/main", "two", one)
	run := b.run(r)
	require.Zero(t, run.RefsForced)
	three := coretest.Commit(t, b.Path(r), "three", two)
	side := coretest.Commit(t, b.Path(r), "side", one)
	merge := coretest.Commit(t, b.Path(r), "merge", side, three)
	require.True(t, b.write(r, core.RefUpdate{Name: "refs/heads/main", Old: two, New: three})[0].OK())
	require.True(t, b.write(r, core.RefUpdate{Name: "refs/heads/main", Old: three, New: merge})[0].OK())
	require.Empty(t, b.rows(r))
	b.ForgeGit(r, "update-ref", "refs/heads/main", string(one))
	run = b.run(r)
	require.Equal(t, 1, run.RefsForced)
	require.Equal(t, merge, b.only(r, core.RewriteRetained).Old)
}

func TestService_localRepositoriesKeepWhatTheirSettingsName(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r := b.Local("a")
	one := coretest.Commit(t, b.Path(r), "one")
	two := coretest.Commit(t, b.Path(r), "two")
	require.True(t, b.write(r, core.RefUpdate{Name: "refs/heads/main", New: one}, core.RefUpdate{Name: "refs/heads/x", New: one})[0].OK())
	require.True(t, b.write(r, core.RefUpdate{Name: "refs/heads/main", Old: one, New: two})[0].OK())
	require.Empty(t, b.rows(r))
	b.policy(r, "refs/heads/main", core.RefFollowRetain)
	b.write(r, core.RefUpdate{Name: "refs/heads/main", Old: two, New: one}, core.RefUpdate{Name: "refs/heads/x", Old: one, New: two})
	require.Equal(t, two, b.only(r, core.RewriteRetained).Old)
}

func TestService_followKeepsNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, _ := b.mirrored("a")
	b.policy(r, "refs/heads/**", core.RefFollow)
	b.ForgeCommit(r, "refs/heads/main", "two")
	b.run(r)
	row := b.only(r, core.RewriteFollowed)
	require.Zero(t, row.ExpiresAt)
	require.Empty(t, b.kept(r))
	_, err := b.Restore(t.Context(), b.caller(r), row.ID, "x")
	require.Equal(t, core.KindConflict, core.KindOf(err))
}

func TestService_Expire_isExact(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, _ := b.mirrored("a")
	b.set(r, core.Settings{Retention: 48 * time.Hour})
	b.ForgeCommit(r, "refs/heads/main", "two")
	b.run(r)
	row := b.only(r, core.RewriteRetained)
	b.clock.Advance(48*time.Hour - time.Second)
	require.NoError(t, b.Expire(t.Context()))
	require.Len(t, b.kept(r), 1)
	b.only(r, core.RewriteRetained)

	b.clock.Advance(time.Second)
	got, err := b.Get(t.Context(), r.ID, row.ID)
	require.NoError(t, err)
	require.Equal(t, core.RewriteExpired, got.State, "at once, although the loop has not come by")
	_, err = b.Restore(t.Context(), b.caller(r), row.ID, "x")
	require.Equal(t, core.KindConflict, core.KindOf(err))
	require.NoError(t, b.Expire(t.Context()))
	require.Empty(t, b.kept(r))
	stored, err := b.Store.Rewrite(t.Context(), r.ID, row.ID)
	require.NoError(t, err)
	require.Equal(t, core.RewriteExpired, stored.State)
}

func TestService_Run_expiresByItself(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, _ := b.mirrored("a")
	b.ForgeCommit(r, "refs/heads/main", "two")
	b.run(r)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	deadline := time.Now().Add(time.Minute)
	for b.clock.Advance(repo.DefaultRetention); len(b.kept(r)) > 0; b.clock.Advance(time.Minute) {
		require.True(t, time.Now().Before(deadline))
	}
	cancel()
	require.NoError(t, <-done)
}

func TestService_Expire_brokenRepositoryDoesNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	bad, _ := b.mirrored("bad")
	good, _ := b.mirrored("good")
	for _, r := range []core.Repository{bad, good} {
		b.ForgeCommit(r, "refs/heads/main", "two")
		b.run(r)
	}
	lock := b.Path(bad) + "/packed-refs.lock"
	coretest.Run(t, b.Path(bad), "pack-refs", "--all")
	require.NoError(t, os.WriteFile(lock, nil, 0o600))
	b.clock.Advance(repo.DefaultRetention)
	require.NoError(t, b.Expire(t.Context()))
	require.Empty(t, b.kept(good))
	require.Len(t, b.kept(bad), 1)
	require.NoError(t, os.Remove(lock))
	b.clock.Advance(2 * time.Hour)
	require.NoError(t, b.Expire(t.Context()))
	require.Empty(t, b.kept(bad))
}

func TestService_Trim_letsTheOldestGo(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, _ := b.mirrored("a")
	for _, name := range []string{"two", "three", "four"} {
		b.clock.Advance(time.Second)
		b.ForgeCommit(r, "refs/heads/main", name)
		b.run(r)
	}
	require.Len(t, b.rows(r, core.RewriteRetained), 3)
	require.NoError(t, b.Trim(t.Context(), false), "no limit, no counting")
	require.Zero(t, b.rows(r)[0].Bytes)

	b.set(r, core.Settings{RetentionBytes: 1 << 20})
	require.NoError(t, b.Trim(t.Context(), false))
	rows := b.rows(r, core.RewriteRetained)
	require.Len(t, rows, 3)
	require.Positive(t, rows[2].Bytes)

	b.set(r, core.Settings{RetentionBytes: rows[2].Bytes + 1})
	require.NoError(t, b.Trim(t.Context(), true))
	left := b.only(r, core.RewriteRetained)
	require.Equal(t, rows[2].ID, left.ID, "the newest")
	require.Equal(t, map[string]core.ObjectID{left.KeptRef(): left.Old}, b.kept(r))
}

func TestService_Dismiss_letsAKeptTipGo(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, _ := b.mirrored("a")
	b.ForgeCommit(r, "refs/heads/main", "two")
	b.run(r)
	row := b.only(r, core.RewriteRetained)
	policy, err := access.ParsePolicy([]byte(`[["refs/heads/main",["no-force-push"]]]`), nil)
	require.NoError(t, err)
	caller := b.caller(r)
	caller.Policy = policy
	_, err = b.Dismiss(t.Context(), caller, row.ID)
	require.Equal(t, core.KindPermission, core.KindOf(err))
	_, err = b.Dismiss(t.Context(), b.caller(r), row.ID)
	require.NoError(t, err)
	require.Empty(t, b.kept(r))
	_, err = b.Dismiss(t.Context(), b.caller(r), row.ID)
	require.Equal(t, core.KindConflict, core.KindOf(err))
	_, err = b.Get(t.Context(), "repo_of_another", row.ID)
	require.Equal(t, core.KindNotFound, core.KindOf(err))
}
