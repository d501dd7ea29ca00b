package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/engine"
	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/core/maintain"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/server/metrics"
	"github.com/headwater-git/headwater/server/middleware"
)

// overview is a store with these mirrors.
type overview struct {
	mirrors []core.MirrorHealth
	err     error
}

func (o overview) Mirrors(_ context.Context, f func(core.MirrorHealth) error) error {
	for _, m := range o.mirrors {
		if err := f(m); err != nil {
			return err
		}
	}
	return o.err
}

func (o overview) Totals(context.Context) (core.Totals, error) {
	return core.Totals{
		Organisations: 2, Local: 3, Undispatched: 4, Deliveries: 5, Unfinished: 1, OldestUnfinished: now().Add(-time.Minute),
		Webhooks: 7, FailingWebhooks: 2, Inbound: map[core.InboundState]int{core.InboundActive: 6}, Held: 8,
		Credentials: 3, FailingCredentials: 1, FirstExpiry: now().Add(time.Hour),
	}, o.err
}

func now() time.Time { return time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC) }

type stopped struct{ core.SystemClock }

func (stopped) Now() time.Time { return now() }

func mirror(name string, age time.Duration) core.MirrorHealth {
	return core.MirrorHealth{Org: "acme", Name: name, Ready: true, ObservedAt: now().Add(-age)}
}

// full returns metrics of which every one has a value.
func full(t *testing.T, o metrics.Options, s overview, hosts []schedule.HostLoad) *metrics.Metrics {
	t.Helper()
	o.Clock, o.Version = stopped{}, "1.2.3"
	m := metrics.New(o)
	m.Watch(metrics.Sources{
		GitVersion: "2.39.5", Store: s,
		Hosts: func() []schedule.HostLoad { return hosts },
		Load:  func() (requests, heavy limit.Load) { return limit.Load{Running: 1, Waiting: 2}, limit.Load{Running: 3} },
		Plugins: func() []metrics.Plugin {
			return []metrics.Plugin{{Instance: "gitea", Running: true, Starts: 2, Crashes: 1}}
		},
		Disk: func() metrics.Disk { return metrics.Disk{Size: 10, Free: 5, Used: map[string]int64{"database": 3}} },
	})
	m.Git(git.Usage{Command: "fetch", Ending: git.EndedWell, Took: time.Second, CPU: time.Second, Memory: 1 << 20})
	m.Queued(limit.Wait{Took: time.Second})
	m.Queued(limit.Wait{Heavy: true, Refused: true})
	m.Pushed(push.Finished{Source: core.SourcePush, Ending: push.EndedPartly, Refs: 3, Refused: 1, Phases: []core.Phase{{Name: push.PhaseUpstream, Duration: time.Second}}})
	m.Synced(core.Repository{}, core.Run{Trigger: "poll", Outcome: "failed", Class: core.ClassAuth, Phases: []core.Phase{{Name: "list", Duration: 1}}})
	m.Delivered(events.Try{Status: 503, Took: time.Second})
	m.Maintained(maintain.TaskPackRefs, time.Second, errors.New("no"))
	m.StoreWrote(0, time.Millisecond)
	m.Cached(engine.CacheKeys, true)
	m.Request(&middleware.Exchange{ResponseWriter: httptest.NewRecorder(), Route: "/api/repos"}, httptest.NewRequest("BREW", "/api/repos", nil), time.Second)
	return m
}

// gather returns the metrics by name.
func gather(t *testing.T, m *metrics.Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := m.Gatherer().Gather()
	require.NoError(t, err)
	all := map[string]*dto.MetricFamily{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "headwater_") {
			all[f.GetName()] = f
		}
	}
	return all
}

// Dashboards and alerts are made of these names: one that goes or changes breaks them
// without a word. HEADWATER_UPDATE writes the list anew.
func TestMetrics_names(t *testing.T) {
	t.Parallel()
	m := full(t, metrics.Options{Worst: 1}, overview{mirrors: []core.MirrorHealth{
		mirror("a", time.Second), {Org: "acme", Name: "b", Failures: 1, Class: core.ClassAuth},
	}}, []schedule.HostLoad{{Host: "git.example.org", Runs: 1, PausedUntil: now().Add(time.Minute), Down: true}})
	var lines []string
	for name, f := range gather(t, m) {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		lines = append(lines, fmt.Sprintf("%s %s {%s}\n", name, strings.ToLower(f.GetType().String()), strings.Join(labels, ",")))
	}
	slices.Sort(lines)
	got := strings.Join(lines, "")
	path := filepath.Join("testdata", "names.txt")
	if os.Getenv("HEADWATER_UPDATE") != "" {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "if this is meant, run the test with HEADWATER_UPDATE=1, and say it in docs/metrics.md and in the change log")

	docs, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	require.NoError(t, err)
	for name := range gather(t, m) {
		require.Contains(t, string(docs), "`"+name+"`", "docs/metrics.md says what it means")
	}
}

// The rules of Prometheus: units, _total, help texts.
func TestMetrics_lint(t *testing.T) {
	t.Parallel()
	m := full(t, metrics.Options{Worst: 1}, overview{mirrors: []core.MirrorHealth{mirror("a", time.Second)}},
		[]schedule.HostLoad{{Host: "h", PausedUntil: now().Add(time.Minute)}})
	problems, err := testutil.GatherAndLint(m.Gatherer())
	require.NoError(t, err)
	require.Empty(t, problems)
}

func TestMetrics_worstByNameOnlyIfWanted(t *testing.T) {
	t.Parallel()
	mirrors := []core.MirrorHealth{
		mirror("fresh", time.Second), mirror("oldest", 48*time.Hour), mirror("older", time.Hour), mirror("old", time.Minute), {Org: "acme", Name: "never"},
	}
	none := gather(t, full(t, metrics.Options{}, overview{mirrors: mirrors}, nil))
	require.NotContains(t, none, "headwater_mirror_worst_lag_seconds")

	two := gather(t, full(t, metrics.Options{Worst: 2}, overview{mirrors: mirrors}, nil))
	var names []string
	for _, s := range two["headwater_mirror_worst_lag_seconds"].GetMetric() {
		names = append(names, s.GetLabel()[1].GetValue())
	}
	require.ElementsMatch(t, []string{"oldest", "older"}, names)
	h := two["headwater_mirror_lag_seconds"].GetMetric()[0].GetHistogram()
	require.EqualValues(t, 4, h.GetSampleCount(), "one that was never seen has no lag")
	require.EqualValues(t, 1, h.GetBucket()[0].GetCumulativeCount())
}

func TestMetrics_labelsAreFew(t *testing.T) {
	t.Parallel()
	var hosts []schedule.HostLoad
	for i := range 80 {
		hosts = append(hosts, schedule.HostLoad{Host: fmt.Sprintf("h%02d.example.org", i), Runs: 1, Queued: i})
	}
	all := gather(t, full(t, metrics.Options{}, overview{}, hosts))
	work := all["headwater_host_work"].GetMetric()
	require.Len(t, work, 51*3)
	runs := 0.0
	for _, s := range work {
		if s.GetLabel()[1].GetValue() == "run" {
			runs += s.GetGauge().GetValue()
		}
	}
	require.InDelta(t, 80, runs, 0, "those without a name of their own are counted as other")
	require.Equal(t, "other", all["headwater_http_requests_total"].GetMetric()[0].GetLabel()[0].GetValue(), "a method that a client made up")
}

func TestMetrics_databaseThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	all := gather(t, full(t, metrics.Options{}, overview{err: errors.New("locked")}, nil))
	require.InDelta(t, 1, all["headwater_scrape_failed"].GetMetric()[0].GetGauge().GetValue(), 0)
	require.Contains(t, all, "headwater_pushes_total", "what is counted is shown all the same")
	require.NotContains(t, all, "headwater_repositories", "a number that is not known is not zero")
}

func TestDiskMeter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for path, size := range map[string]int{"headwater.db": 100, "headwater.db-wal": 10, "repos/a.git/objects/pack/p": 1000, "quarantine/x/HEAD": 7, "keys/seal.json": 3} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, path), make([]byte, size), 0o600))
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		d := metrics.NewDiskMeter(dir, core.SystemClock{})
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		synctest.Wait()
		// What comes before the first question is in the first answer: nothing was measured yet.
		require.NoError(t, os.WriteFile(filepath.Join(dir, "later"), make([]byte, 5), 0o600))
		require.Nil(t, d.Disk().Used)
		require.Positive(t, d.Disk().Free)
		synctest.Wait()
		want := map[string]int64{"database": 110, "repositories": 1000, "quarantine": 7, "other": 8}
		require.Equal(t, want, d.Disk().Used)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "later"), make([]byte, 6), 0o600))
		require.Equal(t, want, d.Disk().Used, "measured a moment ago")
		time.Sleep(time.Hour)
		synctest.Wait()
		want["other"] = 9
		require.Equal(t, want, d.Disk().Used)
		cancel()
		require.NoError(t, <-done)
	})
}
