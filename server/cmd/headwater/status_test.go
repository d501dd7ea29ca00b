package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	rest "github.com/headwater-git/headwater/server/client"
)

func TestStatus_ofARunningAndAStoppedServer(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	_, err := s.cli(t, "repo", "create", "team/local")
	require.NoError(t, err)

	out, err := s.cli(t, "status")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^server +Headwater \S+, up for \d+ s, git 2\.`, out)
	require.Regexp(t, `(?m)^ready +yes$`, out)
	require.Regexp(t, `(?m)^repositories +1 local$`, out)
	require.Regexp(t, `(?m)^disk +.* free \(\d+ %\)`, out)

	out, err = s.cli(t, "status", "--json")
	require.NoError(t, err)
	var report statusReport
	require.NoError(t, json.Unmarshal([]byte(out), &report))
	require.True(t, report.Server.Ready)
	require.Equal(t, 1, report.States["local"])

	require.NoError(t, s.stop())
	out, err = s.cli(t, "status")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^server +no server is running on this data directory$`, out)
	require.Regexp(t, `(?m)^repositories +1 local$`, out)
}

func TestStatus_print(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	at := func(ago time.Duration) *core.Timestamp { return new(core.Timestamp(now.Add(-ago))) }
	var out strings.Builder
	p := statusReport{
		NoServer: "no server is running on this data directory",
		ReadOnly: &statusReadOnly{Since: core.Timestamp(now), Reason: "the disk is replaced"},
		States:   map[string]int{"ready": 40, "failing": 2, "pending": 0}, Failing: map[string]int{"auth": 2}, Mirrors: 42, Recent: 39,
		Upstreams: map[string]int{"revoked": 1},
		Totals:    statusTotals{Deliveries: 3, Unfinished: 1, OldestUnfinished: at(90 * time.Minute)},
		Worst:     []statusMirror{{Org: "acme", Name: "team/new", State: "pending"}, {Org: "acme", Name: "team/old", State: "failing", Class: "auth", Upstream: "revoked", ObservedAt: at(3 * 24 * time.Hour)}},
	}
	require.NoError(t, p.print(&out, now))
	require.Equal(t, `server        no server is running on this data directory
read-only     since 2026-11-30T12:00:00Z: the disk is replaced; end it: headwater read-only off
repositories  40 ready, 2 failing
failing       2 auth; see: headwater repo list --state failing
upstreams     1 revoked
copies        39 of 42 confirmed within 15 minutes
waiting       3 deliveries, 0 events, 0 refs for a decision, 1 write without an outcome (the oldest for 90 min)

Oldest copies
  acme: team/new  never   pending  
  acme: team/old  3 days  failing  auth revoked
`, out.String())
}

// The numbers call a state as the API does.
func TestStatus_states(t *testing.T) {
	t.Parallel()
	require.Equal(t, "replaced", core.MirrorHealth{Upstream: core.UpstreamReplaced, Failures: 3}.State())
	require.Equal(t, string(rest.SyncStateFailing), core.MirrorHealth{Failures: 1}.State())
	require.Equal(t, string(rest.SyncStateHeld), core.MirrorHealth{Failures: 1, Class: core.ClassDiverged}.State())
	require.Equal(t, string(rest.SyncStatePaused), core.MirrorHealth{Paused: true, Failures: 1}.State())
	require.Equal(t, string(rest.SyncStatePending), core.MirrorHealth{}.State())
	require.Equal(t, string(rest.SyncStateReady), core.MirrorHealth{Ready: true}.State())
}

// The screen calls the state of a mirror as repo show does, whatever becomes of it.
func TestStatus_sameWordsAsRepoShow(t *testing.T) {
	t.Parallel()
	forge, config, tokenFile := startForge(t)
	s := startServer(t, "", "--config", config)
	same := func(want rest.SyncState) {
		t.Helper()
		out, err := s.cli(t, "repo", "show", "river/delta", "--json")
		require.NoError(t, err)
		require.Contains(t, out, `"state":"`+string(want)+`"`)
		out, err = s.cli(t, "status", "--json")
		require.NoError(t, err)
		var report statusReport
		require.NoError(t, json.Unmarshal([]byte(out), &report))
		require.Equal(t, map[string]int{string(want): 1}, report.States)
		require.Equal(t, 1, report.Mirrors)
	}
	require.NoError(t, must(s.cli(t, "mirror", forge.CloneURL("river/delta"), "--username", "river", "--password-file", tokenFile)))
	same(rest.SyncStateReady)
	require.NoError(t, must(s.cli(t, "repo", "pause", "river/delta")))
	same(rest.SyncStatePaused)
	require.NoError(t, must(s.cli(t, "repo", "resume", "river/delta")))
	require.NoError(t, forge.DeleteRepo("river/delta"))
	_, err := s.cli(t, "repo", "sync", "--wait", "river/delta")
	require.Error(t, err)
	same(rest.SyncStateFailing)
	out, err := s.cli(t, "status")
	require.NoError(t, err)
	require.Regexp(t, `(?m)^failing +1 not_found; see: headwater repo list --data \S+ --state failing$`, out)
}

func must(_ string, err error) error { return err }
