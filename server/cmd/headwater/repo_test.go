package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	rest "github.com/headwater-git/headwater/server/client"
)

func TestPrintPlan_namesWhatBecomesOfEachRef(t *testing.T) {
	t.Parallel()
	id, other := strings.Repeat("ab", 20), strings.Repeat("cd", 20)
	var out strings.Builder
	require.NoError(t, printPlan(&out, rest.Plan{
		Created: []rest.RefUpdate{{Name: "refs/heads/a", New: id}}, Forced: []rest.RefUpdate{{Name: "refs/heads/b", Old: id, New: other}},
		Deleted: []rest.RefUpdate{{Name: "refs/heads/c", Old: id}},
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
	require.NoError(t, printPlan(&out, rest.Plan{}))
	require.Equal(t, "No ref changes.\n", out.String())
}

func TestSettingsFlags_changeOnlyWhatIsGiven(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"nothing", nil, `{}`},
		{"scalars", []string{"--poll", "1m", "--ephemeral-quota", "0", "--pull-requests=false"}, `{"poll":"1m","ephemeral_quota":0,"pull_requests":false}`},
		{"patterns", []string{"--include", "main", "--include", "refs/tags/**"}, `{"include":["refs/heads/main","refs/tags/**"]}`},
		{"an empty list", []string{"--exclude", "", "--policy", ""}, `{"exclude":[],"ref_policies":[]}`},
		{"policies", []string{"--policy", "a=b=hold"}, `{"ref_policies":[{"pattern":"refs/heads/a=b","action":"hold"}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var s settingsFlags
			f := pflag.NewFlagSet("settings", pflag.ContinueOnError)
			s.bind(f)
			require.NoError(t, f.Parse(tt.args))
			got, err := s.changes(f)
			require.NoError(t, err)
			body, err := json.Marshal(got)
			require.NoError(t, err)
			require.JSONEq(t, tt.want, string(body))
		})
	}
}

func TestSync_namesWhatIsKeptOut(t *testing.T) {
	t.Parallel()
	require.Empty(t, keptOut(rest.Sync{}, "team/app"))
	require.Equal(t, []string{
		"a policy holds it: approve rw_1 to let it through (headwater rewrite approve team/app rw_1)",
		"a policy freezes it",
		"refs/heads/a/b is not mirrored: both cannot be here",
	}, keptOut(rest.Sync{
		HeldRefs: []rest.Held{
			{Ref: "refs/heads/x", RewriteID: "rw_1", State: "held", Reason: "a policy holds it: approve rw_1 to let it through"},
			{Ref: "refs/heads/y", RewriteID: "rw_2", State: "frozen", Reason: "a policy freezes it"},
		},
		SkippedRefs: []rest.Skipped{{Ref: "refs/heads/a/b", ConflictsWith: "refs/heads/a", Reason: "both cannot be here"}},
	}, "team/app"))
}

func TestSync_saysHowFreshTheCopyIs(t *testing.T) {
	t.Parallel()
	now := time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)
	seen, changed := now.Add(-3*time.Minute), now.Add(-50*time.Hour)
	require.Equal(t, "never confirmed by the upstream", freshness(rest.Sync{}, now))
	require.Equal(t, "confirmed 3 min ago", freshness(rest.Sync{ObservedAt: &seen}, now))
	require.Equal(t, "confirmed 3 min ago, upstream changed 2 days ago", freshness(rest.Sync{ObservedAt: &seen, ChangedAt: &changed}, now))
	require.Equal(t, "confirmed 0 s ago", freshness(rest.Sync{ObservedAt: &now}, now.Add(-time.Second)), "clocks differ")
	require.Equal(t, "active", upstreamIs(rest.Sync{}))
	require.Contains(t, upstreamIs(rest.Sync{UpstreamState: "deleted", UpstreamSince: &seen}), "deleted since 20")
	require.Equal(t, "confirmed 3 min ago", identity(rest.Sync{Identity: rest.UpstreamIdentity{State: "confirmed", ConfirmedAt: &seen}}, now))
	require.Equal(t, "unavailable, confirmed 3 min ago: no scope", identity(rest.Sync{Identity: rest.UpstreamIdentity{State: "unavailable", ConfirmedAt: &seen, Message: "no scope"}}, now))
	require.Equal(t, "unchecked", identity(rest.Sync{Identity: rest.UpstreamIdentity{State: "unchecked"}}, now))
}

func TestStateOf_namesAnUpstreamThatIsNotActive(t *testing.T) {
	t.Parallel()
	require.Equal(t, "local", stateOf(rest.Repository{}))
	require.Equal(t, "ready", stateOf(rest.Repository{Sync: &rest.Sync{State: "ready", UpstreamState: "active"}}))
	require.Equal(t, "ready, upstream archived", stateOf(rest.Repository{Sync: &rest.Sync{State: "ready", UpstreamState: "archived"}}))
}

// A refusal names one check at a time: the command that it prints must not undo the one
// that was typed before.
func TestRepoSettings_tolerateAdds(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	_, err := s.cli(t, "repo", "create", "team/app")
	require.NoError(t, err)
	for _, step := range []struct {
		flags []string
		want  string
	}{
		{[]string{"treeNotSorted"}, `\["treeNotSorted"\]`},
		{[]string{"duplicateEntries", "nulInCommit"}, `\["treeNotSorted","duplicateEntries","nulInCommit"\]`},
		{[]string{"treeNotSorted"}, `\["treeNotSorted","duplicateEntries","nulInCommit"\]`},
		{[]string{"", "missingAuthor"}, `\["missingAuthor"\]`},
		{[]string{""}, `\[\]`},
	} {
		args := []string{"repo", "settings", "team/app", "--json"}
		for _, id := range step.flags {
			args = append(args, "--tolerate", id)
		}
		out, err := s.cli(t, args...)
		require.NoError(t, err)
		require.Regexp(t, `"tolerate":`+step.want, out)
	}
	_, err = s.cli(t, "repo", "settings", "team/app", "--tolerate", "hasDotgit")
	require.ErrorContains(t, err, "never tolerated")
}
