package rewrite_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
)

func TestService_Approve_heldBranchRewrittenTwice(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	b.policy(r, "refs/heads/main", core.RefHold)
	two := b.ForgeCommit(r, "refs/heads/main", "two")
	b.ForgeCommit(r, "refs/heads/other", "other", one)
	run := b.run(r)
	require.Equal(t, "succeeded", run.Outcome)
	require.Equal(t, 1, run.RefsHeld)
	require.Equal(t, one, b.Refs(r)["refs/heads/main"], "held")
	require.Contains(t, b.Refs(r), "refs/heads/other", "and stops nobody else")
	first := b.only(r, core.RewriteHeld)
	require.Equal(t, two, first.New)

	// A fetch would not bring what is held back, so nobody is advised to.
	mine := coretest.Commit(t, b.Path(r), "mine", one)
	result := b.write(r, core.RefUpdate{Name: "refs/heads/main", Old: one, New: mine})[0]
	require.Equal(t, core.KindStale, result.Kind)
	require.Contains(t, result.Reason, "approve the rewrite first")
	require.Equal(t, two, b.UpstreamRefs(r)["refs/heads/main"])

	// Asked once, and no fetch at every look.
	b.noFetch(r)
	other := coretest.Commit(t, b.Path(r), "pushed", b.Refs(r)["refs/heads/other"])
	require.True(t, b.write(r, core.RefUpdate{Name: "refs/heads/other", Old: b.Refs(r)["refs/heads/other"], New: other})[0].OK())
	b.noFetch(r)
	require.Len(t, b.rows(r), 1)
	require.Equal(t, []string{core.EventRefHeld + " refs/heads/main"}, b.events(r))

	three := b.ForgeCommit(r, "refs/heads/main", "three")
	b.run(r)
	second := b.only(r, core.RewriteHeld)
	require.Equal(t, three, second.New)
	require.Equal(t, first.ID, b.only(r, core.RewriteReplaced).ID)
	_, err := b.Approve(t.Context(), b.caller(r), first.ID)
	require.Equal(t, core.KindConflict, core.KindOf(err))

	// The upstream moves on between the look and the approval.
	four := b.ForgeCommit(r, "refs/heads/main", "four")
	_, err = b.Approve(t.Context(), b.caller(r), second.ID)
	require.Equal(t, core.KindStale, core.KindOf(err))
	require.Equal(t, one, b.Refs(r)["refs/heads/main"])
	b.run(r)
	third := b.only(r, core.RewriteHeld)
	got, err := b.Approve(t.Context(), b.caller(r), third.ID)
	require.NoError(t, err)
	require.Equal(t, core.RewriteApproved, got.State)
	require.Equal(t, four, b.Refs(r)["refs/heads/main"])
	require.Equal(t, one, b.only(r, core.RewriteRetained).Old, "a wrong approval can be taken back")
	b.noFetch(r)
	_, err = b.Approve(t.Context(), b.caller(r), third.ID)
	require.Equal(t, core.KindConflict, core.KindOf(err))
}

func TestService_hold_endsWhenTheUpstreamMovesBack(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		back func(b *bench, r core.Repository, one core.ObjectID) core.ObjectID
	}{
		"to ours": {func(b *bench, r core.Repository, one core.ObjectID) core.ObjectID {
			b.ForgeGit(r, "update-ref", "refs/heads/main", string(one))
			return one
		}},
		"to a fast-forward": {func(b *bench, r core.Repository, one core.ObjectID) core.ObjectID {
			return b.ForgeCommit(r, "refs/heads/main", "on", one)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, coretest.Options{})
			r, one := b.mirrored("a")
			b.policy(r, "refs/heads/**", core.RefHold)
			b.ForgeCommit(r, "refs/heads/main", "two")
			b.run(r)
			b.only(r, core.RewriteHeld)
			want := tc.back(b, r, one)
			b.run(r)
			require.Equal(t, want, b.Refs(r)["refs/heads/main"])
			b.only(r, core.RewriteReplaced)
			require.Len(t, b.rows(r), 1)
			b.noFetch(r)
		})
	}
}

func TestService_hold_endsWithThePolicy(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	b.policy(r, "refs/heads/main", core.RefHold)
	two := b.ForgeCommit(r, "refs/heads/main", "two")
	b.run(r)
	b.set(r, core.Settings{})
	b.run(r)
	require.Equal(t, two, b.Refs(r)["refs/heads/main"])
	b.only(r, core.RewriteReplaced)
	require.Equal(t, one, b.only(r, core.RewriteRetained).Old)
}

func TestService_Dismiss_heldIsNotAskedAboutAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	b.policy(r, "refs/heads/main", core.RefHold)
	two := b.ForgeCommit(r, "refs/heads/main", "two")
	b.run(r)
	row, err := b.Dismiss(t.Context(), b.caller(r), b.only(r, core.RewriteHeld).ID)
	require.NoError(t, err)
	b.ForgeCommit(r, "refs/heads/other", "other", one)
	b.run(r)
	require.Equal(t, one, b.Refs(r)["refs/heads/main"])
	require.Len(t, b.rows(r), 1)
	b.noFetch(r)

	// A later change is another question.
	b.ForgeCommit(r, "refs/heads/main", "three")
	b.run(r)
	b.only(r, core.RewriteHeld)
	b.ForgeGit(r, "update-ref", "refs/heads/main", string(two))
	b.run(r)
	again := b.only(r, core.RewriteHeld)
	require.NotEqual(t, row.ID, again.ID, "asked about something else in between")

	// What was dismissed can be approved after all.
	_, err = b.Dismiss(t.Context(), b.caller(r), again.ID)
	require.NoError(t, err)
	_, err = b.Approve(t.Context(), b.caller(r), again.ID)
	require.NoError(t, err)
	require.Equal(t, two, b.Refs(r)["refs/heads/main"])
}

// A held branch becomes a folder at the upstream: what is below it waits for the
// decision, and everything else flows.
func TestInvariant13_heldBranchBecomesAFolder(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	b.ForgeGit(r, "update-ref", "refs/heads/x", string(one))
	b.run(r)
	b.policy(r, "refs/heads/x", core.RefHold)
	b.ForgeGit(r, "update-ref", "-d", "refs/heads/x")
	b.ForgeGit(r, "update-ref", "refs/heads/x/y", string(one))
	b.ForgeGit(r, "update-ref", "refs/heads/z", string(one))
	run := b.run(r)
	require.Equal(t, 2, run.RefsHeld)
	require.Equal(t, map[string]core.ObjectID{"refs/heads/main": one, "refs/heads/x": one, "refs/heads/z": one}, b.Refs(r))
	b.noFetch(r)
	row := b.only(r, core.RewriteHeld)
	require.True(t, row.New.IsZero())
	_, err := b.Approve(t.Context(), b.caller(r), row.ID)
	require.NoError(t, err)
	b.run(r)
	require.Equal(t, b.UpstreamRefs(r), b.Refs(r))
}

func TestService_hold_defaultBranchDeletedOrRenamed(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	b.policy(r, "refs/heads/**", core.RefHold)
	b.ForgeGit(r, "update-ref", "refs/heads/trunk", string(one))
	b.ForgeGit(r, "symbolic-ref", "HEAD", "refs/heads/trunk")
	b.ForgeGit(r, "update-ref", "-d", "refs/heads/main")
	b.run(r)
	require.Equal(t, "trunk", b.Reload(r).DefaultBranch, "HEAD is no ref that anybody holds")
	require.Equal(t, map[string]core.ObjectID{"refs/heads/main": one, "refs/heads/trunk": one}, b.Refs(r))
	b.noFetch(r)
	_, err := b.Approve(t.Context(), b.caller(r), b.only(r, core.RewriteHeld).ID)
	require.NoError(t, err)
	require.Equal(t, map[string]core.ObjectID{"refs/heads/trunk": one}, b.Refs(r))
}

func TestService_freeze_movesByNoSync(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	b.policy(r, "refs/heads/main", core.RefFreeze)
	b.ForgeCommit(r, "refs/heads/main", "two", one)
	b.run(r)
	require.Equal(t, one, b.Refs(r)["refs/heads/main"])
	row := b.only(r, core.RewriteFrozen)
	_, err := b.Approve(t.Context(), b.caller(r), row.ID)
	require.Equal(t, core.KindConflict, core.KindOf(err))
	b.noFetch(r)
	mine := coretest.Commit(t, b.Path(r), "mine", one)
	require.Contains(t, b.write(r, core.RefUpdate{Name: "refs/heads/main", Old: one, New: mine})[0].Reason, "lift the policy first")

	// A push by a client is meant; it goes to the upstream first.
	b.ForgeGit(r, "update-ref", "refs/heads/main", string(one))
	b.run(r)
	two := coretest.Commit(t, b.Path(r), "ours", one)
	require.True(t, b.write(r, core.RefUpdate{Name: "refs/heads/main", Old: one, New: two})[0].OK())
	require.Equal(t, two, b.UpstreamRefs(r)["refs/heads/main"])
	require.True(t, b.write(r, core.RefUpdate{Name: "refs/heads/main", Old: two, New: one})[0].OK())
	require.Equal(t, two, b.only(r, core.RewriteRetained).Old, "and what it loses is kept")
}

func TestService_hold_massDeletionBrakeStillHolds(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{})
	r, one := b.mirrored("a")
	for i := range 12 {
		b.ForgeGit(r, "update-ref", "refs/heads/b"+string(rune('a'+i)), string(one))
	}
	b.run(r)
	b.policy(r, "refs/heads/b*", core.RefHold)
	for i := range 12 {
		b.ForgeGit(r, "update-ref", "-d", "refs/heads/b"+string(rune('a'+i)))
	}
	b.run(r)
	require.Len(t, b.Refs(r), 13, "all of them wait, so nothing is lost at once")
	require.Len(t, b.rows(r, core.RewriteHeld), 12)
}

// A crash anywhere in an approval leaves a state from which the next start and
// sync go on: the ref is at one of the two tips, and the old one is kept once.
func TestInvariant17_crashInAnApproval(t *testing.T) {
	t.Parallel()
	for order, sqlFirst := range coretest.CommitPoints {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			crashInAnApproval(t, sqlFirst)
		})
	}
}

func crashInAnApproval(t *testing.T, sqlFirst bool) {
	steps := []string{"sync-journal-sent", "refs-applied"}
	if sqlFirst {
		steps = append(steps, "sql-committed")
	}
	for _, at := range steps {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			armed := false
			b := newBench(t, coretest.Options{SQLFirst: sqlFirst, Failpoint: func(name string) {
				if armed && name == at {
					armed = false
					panic("crash")
				}
			}})
			r, one := b.mirrored("a")
			b.policy(r, "refs/heads/main", core.RefHold)
			two := b.ForgeCommit(r, "refs/heads/main", "two")
			b.run(r)
			row := b.only(r, core.RewriteHeld)
			armed = true
			require.Panics(t, func() { _, _ = b.Approve(t.Context(), b.caller(r), row.ID) })
			b.restart()
			require.NoError(t, b.push.Recover(t.Context()))
			b.run(r)
			if at == "sync-journal-sent" {
				require.Equal(t, one, b.Refs(r)["refs/heads/main"])
				require.Equal(t, row.ID, b.only(r, core.RewriteHeld).ID)
				return
			}
			require.Equal(t, two, b.Refs(r)["refs/heads/main"])
			require.Equal(t, one, b.only(r, core.RewriteRetained).Old)
			require.Len(t, b.kept(r), 1)
			require.Empty(t, b.rows(r, core.RewriteHeld))
		})
	}
}
