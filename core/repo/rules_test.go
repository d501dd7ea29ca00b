package repo_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/repo"
)

// Patterns of filters and of ref policies are git's.
func TestNewRules_patternsAreGits(t *testing.T) {
	t.Parallel()
	synced := core.Repository{Upstream: &core.Upstream{}}
	rules, err := repo.NewRules(synced, core.Settings{
		Include:     []string{"refs/heads/v[[:digit:]]", "refs/heads/a[!/]b", "refs/heads/main"},
		Exclude:     []string{"refs/heads/v[5-9]"},
		RefPolicies: []core.RefPolicy{{Pattern: "refs/heads/v[[:digit:]]", Action: core.RefFreeze}},
	})
	require.NoError(t, err)
	for ref, want := range map[string]bool{
		"refs/heads/v1": true, "refs/heads/v5": false, "refs/heads/vx": false, "refs/heads/[[:digit:]]": false,
		"refs/heads/axb": true, "refs/heads/a/b": false, "refs/heads/main": true,
	} {
		require.Equal(t, want, rules.Mirrors(ref), ref)
	}
	require.Equal(t, core.RefFreeze, rules.Action("refs/heads/v1"))
	require.NotEqual(t, core.RefFreeze, rules.Action("refs/heads/vx"))
	for name, s := range map[string]core.Settings{
		"include": {Include: []string{"refs/heads/[[:nothing:]]"}},
		"exclude": {Exclude: []string{"refs/heads/[a"}},
		"policy":  {RefPolicies: []core.RefPolicy{{Pattern: "refs/heads/[a", Action: core.RefHold}}},
	} {
		require.Equal(t, core.KindInvalid, core.KindOf(repo.CheckSettings(synced, s)), name)
	}
}
