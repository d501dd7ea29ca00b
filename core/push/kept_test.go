package push_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
)

// rewrites returns the rewrites of the repository by ref; each must be there once.
func (b *bench) rewrites(r core.Repository) map[string]core.Rewrite {
	b.Helper()
	rows, err := b.Store.Rewrites(b.Context(), core.RewriteFilter{RepoID: r.ID, Limit: 100})
	require.NoError(b, err)
	byRef := map[string]core.Rewrite{}
	for _, row := range rows {
		byRef[row.Ref] = row
	}
	require.Len(b, byRef, len(rows), "%v", rows)
	return byRef
}

// Wherever the process ends in a push that forces one branch and deletes
// another, the next one finds what was lost: every hidden ref has its row, every
// row its hidden ref, each once, and each has one event.
func TestInvariant10_crashAnywhereKeepsOldTipsOnce(t *testing.T) {
	t.Parallel()
	for order, sqlFirst := range coretest.CommitPoints {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			crashAnywhereKeepsOldTips(t, sqlFirst)
		})
	}
}

func crashAnywhereKeepsOldTips(t *testing.T, sqlFirst bool) {
	steps := map[string]bool{ // whether the change has happened by then
		"journal-sent": false, "upstream-accepted": true, "refs-deleted": true, "refs-applied": true, "recorded": true,
	}
	if sqlFirst {
		steps["sql-committed"] = true
	}
	for at, happened := range steps {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			b, disarm := newCrashBenchWith(t, at, coretest.Options{SQLFirst: sqlFirst})
			r := b.Synced("a")
			clone, old := b.seed(r, "refs/heads/main", "refs/heads/gone")
			other := coretest.Commit(t, clone, "another root")
			b.install(r, clone, "refs/heads/other", other)
			s := b.session(r)
			s.Updates = []core.RefUpdate{{Name: "refs/heads/main", Old: old, New: other}, {Name: "refs/heads/gone", Old: old}}
			require.Panics(t, func() { _, _ = b.push.Write(context.WithoutCancel(t.Context()), s) })
			disarm()
			for range 2 {
				b.restarted()
				b.inSync(r)
				rows := b.rewrites(r)
				want := map[string]core.ObjectID{}
				for _, row := range rows {
					require.Equal(t, core.RewriteRetained, row.State)
					require.Equal(t, core.SourcePush, row.Source)
					want[row.KeptRef()] = old
				}
				require.Equal(t, want, b.Refs(r, core.KeptPrefix))
				if happened {
					require.Len(t, rows, 2)
				} else {
					require.Empty(t, rows)
				}
				events, err := b.Store.Events(t.Context(), 0, 100)
				require.NoError(t, err)
				rewritten := 0
				for _, e := range events {
					if e.Type == core.EventRefRewritten {
						rewritten++
					}
				}
				require.Equal(t, len(rows), rewritten)
			}
		})
	}
}

// A ref that moved on before recovery came is not moved back; what it had lost
// is recorded all the same.
func TestInvariant10_crashThenTheRefMovesOn(t *testing.T) {
	t.Parallel()
	b, disarm := newCrashBench(t, "refs-applied")
	r := b.Synced("a")
	clone, old := b.seed(r, "refs/heads/main")
	other := coretest.Commit(t, clone, "another root")
	b.install(r, clone, "refs/heads/other", other)
	s := b.session(r)
	s.Updates = []core.RefUpdate{{Name: "refs/heads/main", Old: old, New: other}}
	require.Panics(t, func() { _, _ = b.push.Write(context.WithoutCancel(t.Context()), s) })
	disarm()
	third := coretest.Commit(t, clone, "third", other)
	b.install(r, clone, "refs/heads/main", third)
	b.restarted()
	require.Equal(t, third, b.Refs(r)["refs/heads/main"])
	row := b.rewrites(r)["refs/heads/main"]
	require.Equal(t, old, row.Old)
	require.Equal(t, map[string]core.ObjectID{row.KeptRef(): old}, b.Refs(r, core.KeptPrefix))
}

// What could not be done as a whole leaves no hidden ref behind.
func TestInvariant02_conflictKeepsNothing(t *testing.T) {
	t.Parallel()
	b, arm := newLateConflict(t)
	r := b.Local("a")
	_, id := b.seed(r, "refs/heads/main", "refs/heads/gone")
	require.NoError(t, b.Store.SaveSettings(t.Context(), r.ID, core.Settings{RefPolicies: []core.RefPolicy{{Pattern: "refs/**", Action: core.RefFollowRetain}}}))
	arm(r, id)
	b.write(r, false, core.RefUpdate{Name: "refs/heads/gone", Old: id}, core.RefUpdate{Name: "refs/heads/late/x", New: id})
	require.Equal(t, map[string]core.ObjectID{"refs/heads/main": id, "refs/heads/late": id, "refs/heads/gone": id}, b.Refs(r))
	require.Empty(t, b.Refs(r, core.KeptPrefix))
	require.Empty(t, b.rewrites(r))
}
