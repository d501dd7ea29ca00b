package main

import (
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

func TestPrintPlan_namesWhatBecomesOfEachRef(t *testing.T) {
	t.Parallel()
	id, other := core.ObjectID(strings.Repeat("ab", 20)), core.ObjectID(strings.Repeat("cd", 20))
	var out strings.Builder
	require.NoError(t, printPlan(&out, planAnswer{
		Created: []core.RefUpdate{{Name: "refs/heads/a", New: id}}, Forced: []core.RefUpdate{{Name: "refs/heads/b", Old: id, New: other}},
		Deleted: []core.RefUpdate{{Name: "refs/heads/c", Old: id}},
	}))
	var rows [][]string
	for line := range strings.Lines(out.String()) {
		rows = append(rows, strings.Fields(line))
	}
	require.Equal(t, [][]string{
		{"DO", "REF", "FROM", "TO"}, {"create", "refs/heads/a", "-", "abababababab"},
		{"force", "refs/heads/b", "abababababab", "cdcdcdcdcdcd"}, {"delete", "refs/heads/c", "abababababab", "gone"},
	}, rows)
	out.Reset()
	require.NoError(t, printPlan(&out, planAnswer{}))
	require.Equal(t, "No ref changes.\n", out.String())
}

func TestSettingsFlags_changeOnlyWhatIsGiven(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		want map[string]any
	}{
		{"nothing", nil, map[string]any{}},
		{"scalars", []string{"--poll", "1m", "--ephemeral-quota", "0", "--pull-requests=false"}, map[string]any{"poll": "1m", "ephemeral_quota": 0, "pull_requests": false}},
		{"patterns", []string{"--include", "main", "--include", "refs/tags/**"}, map[string]any{"include": []string{"refs/heads/main", "refs/tags/**"}}},
		{"an empty list", []string{"--exclude", "", "--policy", ""}, map[string]any{"exclude": []string{}, "ref_policies": []core.RefPolicy{}}},
		{"policies", []string{"--policy", "a=b=hold"}, map[string]any{"ref_policies": []core.RefPolicy{{Pattern: "refs/heads/a=b", Action: "hold"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s settingsFlags
			f := pflag.NewFlagSet("settings", pflag.ContinueOnError)
			s.bind(f)
			require.NoError(t, f.Parse(tt.args))
			got, err := s.changes(f)
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestSyncAnswer_namesWhatIsKeptOut(t *testing.T) {
	t.Parallel()
	require.Empty(t, syncAnswer{}.keptOut("team/app"))
	require.Equal(t, []string{
		"a policy holds it: approve rw_1 to let it through (headwater rewrite approve team/app rw_1)",
		"a policy freezes it",
		"refs/heads/a/b is not mirrored: both cannot be here",
	}, syncAnswer{
		HeldRefs: []heldRef{
			{Ref: "refs/heads/x", RewriteID: "rw_1", State: "held", Reason: "a policy holds it: approve rw_1 to let it through"},
			{Ref: "refs/heads/y", RewriteID: "rw_2", State: "frozen", Reason: "a policy freezes it"},
		},
		SkippedRefs: []skippedRef{{Ref: "refs/heads/a/b", ConflictsWith: "refs/heads/a", Reason: "both cannot be here"}},
	}.keptOut("team/app"))
}

func TestSyncAnswer_saysHowFreshTheCopyIs(t *testing.T) {
	t.Parallel()
	now := time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)
	seen, changed := now.Add(-3*time.Minute), now.Add(-50*time.Hour)
	require.Equal(t, "never confirmed by the upstream", syncAnswer{}.freshness(now))
	require.Equal(t, "confirmed 3 min ago", syncAnswer{ObservedAt: &seen}.freshness(now))
	require.Equal(t, "confirmed 3 min ago, last change 2 days ago", syncAnswer{ObservedAt: &seen, ChangedAt: &changed}.freshness(now))
	require.Equal(t, "confirmed 0 s ago", syncAnswer{ObservedAt: &now}.freshness(now.Add(-time.Second)), "clocks differ")
	require.Equal(t, "active", syncAnswer{}.upstreamIs())
	require.Contains(t, syncAnswer{UpstreamState: "deleted", UpstreamSince: &seen}.upstreamIs(), "deleted since 20")
	require.Equal(t, "confirmed 3 min ago", syncAnswer{Identity: idAnswer{State: "confirmed", ConfirmedAt: &seen}}.identity(now))
	require.Equal(t, "unavailable, confirmed 3 min ago: no scope", syncAnswer{Identity: idAnswer{State: "unavailable", ConfirmedAt: &seen, Message: "no scope"}}.identity(now))
	require.Equal(t, "unchecked", syncAnswer{Identity: idAnswer{State: "unchecked"}}.identity(now))
}

func TestRepoAnswer_stateNamesAnUpstreamThatIsNotActive(t *testing.T) {
	t.Parallel()
	require.Equal(t, "local", repoAnswer{}.state())
	require.Equal(t, "ready", repoAnswer{Sync: &syncAnswer{State: "ready", UpstreamState: "active"}}.state())
	require.Equal(t, "ready, upstream archived", repoAnswer{Sync: &syncAnswer{State: "ready", UpstreamState: "archived"}}.state())
}
