package repo_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/repo"
)

// A crash in a sync's transaction: what recovery then does makes every row and
// every hidden ref once, and rows say what is on the disk although the settings
// changed in between.
func TestInvariant10_resumedAfterACrash(t *testing.T) {
	t.Parallel()
	for order, sqlFirst := range coretest.CommitPoints {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			resumedAfterACrash(t, sqlFirst)
		})
	}
}

func resumedAfterACrash(t *testing.T, sqlFirst bool) {
	follow := core.Settings{RefPolicies: []core.RefPolicy{{Pattern: "refs/**", Action: core.RefFollow}}}
	steps := []string{"refs-deleted", "refs-applied"}
	if sqlFirst {
		steps = append(steps, "sql-committed")
	}
	for _, at := range steps {
		for name, settings := range map[string][2]core.Settings{
			"retained": {}, "no more": {{}, follow}, "from now on": {follow, {}},
		} {
			t.Run(fmt.Sprint(at, " ", name), func(t *testing.T) {
				t.Parallel()
				armed := false
				w := coretest.NewWorld(t, coretest.Options{SQLFirst: sqlFirst, Failpoint: func(failpoint string) {
					if armed && failpoint == at {
						panic(crash(at))
					}
				}})
				r := w.Synced("a")
				one := coretest.Commit(t, w.Path(r), "one")
				two := coretest.Commit(t, w.Path(r), "two")
				require.NoError(t, apply(w, r, core.RefUpdate{Name: "refs/heads/x", New: one}, core.RefUpdate{Name: "refs/heads/y", New: one}))
				require.NoError(t, w.Store.SaveSettings(t.Context(), r.ID, settings[0]))
				in := intent(r, core.SourceSync, core.RefUpdate{Name: "refs/heads/x", Old: one, New: two}, core.RefUpdate{Name: "refs/heads/y", Old: one})
				armed = true
				crashes(t, at, func() { _, _ = w.Repos.Transact(t.Context(), in) })
				armed = false
				require.NoError(t, w.Store.SaveSettings(t.Context(), r.ID, settings[1]))
				w.Open()
				require.NoError(t, w.Repos.Recover(t.Context()))
				open, err := w.Store.OpenJournals(t.Context())
				require.NoError(t, err)
				require.Equal(t, sqlFirst, len(open) == 0, "with SQL first it was recorded, and the disk has come forward")
				for range 2 {
					for _, j := range open {
						resume(w, r, repo.Unfinished{Entry: j})
					}
					require.Equal(t, map[string]core.ObjectID{"refs/heads/x": two}, w.Refs(r))
					rows, err := w.Store.Rewrites(t.Context(), core.RewriteFilter{RepoID: r.ID, Limit: 10})
					require.NoError(t, err)
					require.Len(t, rows, 2)
					kept := w.Refs(r, core.KeptPrefix)
					for _, row := range rows {
						require.Equal(t, row.State == core.RewriteRetained, kept[row.KeptRef()] == one, "%+v", row)
						require.Equal(t, row.State == core.RewriteRetained, !row.ExpiresAt.IsZero())
						delete(kept, row.KeptRef())
					}
					require.Empty(t, kept, "nobody knows of these")
				}
			})
		}
	}
}

func TestRules_Action_firstPatternDecides(t *testing.T) {
	t.Parallel()
	synced := core.Repository{Upstream: &core.Upstream{}}
	settings := core.Settings{RefPolicies: []core.RefPolicy{
		{Pattern: "refs/heads/release/*", Action: core.RefFreeze}, {Pattern: "refs/heads/**", Action: core.RefHold}, {Pattern: "refs/tags/v[0-9]*", Action: core.RefFollow},
	}}
	rules, err := repo.NewRules(synced, settings)
	require.NoError(t, err)
	for ref, want := range map[string]core.RefAction{
		"refs/heads/release/1": core.RefFreeze, "refs/heads/release/1/2": core.RefHold, "refs/heads/main": core.RefHold,
		"refs/tags/v1": core.RefFollow, "refs/tags/x": core.RefFollowRetain,
	} {
		require.Equal(t, want, rules.Action(ref), ref)
	}
	require.True(t, rules.Holds())
	require.Equal(t, repo.DefaultRetention, rules.Retention())
	local, err := repo.NewRules(core.Repository{}, settings)
	require.NoError(t, err)
	require.Empty(t, local.Action("refs/tags/x"))

	plain, err := repo.NewRules(synced, core.Settings{Poll: "1m", Retention: time.Hour, RefPolicies: settings.RefPolicies[2:]})
	require.NoError(t, err)
	require.Empty(t, plain.Fingerprint(), "nothing that a listing would be read otherwise for")
	require.NotEqual(t, rules.Fingerprint(), plain.Fingerprint())
}
