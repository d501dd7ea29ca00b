package mirror_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/pktline"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

// quickHost answers every listing from memory, so that what is measured is ours.
func quickHost(b *testing.B, asked *atomic.Int64) *httptest.Server {
	host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var answer []byte
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			answer = append(pktline.Appendf(nil, "# service=git-upload-pack\n"), pktline.FlushPacket...)
			for _, line := range []string{"version 2\n", "agent=git/2.43.0\n", "ls-refs=unborn\n", "fetch=shallow\n", "object-format=sha1\n"} {
				answer = pktline.Appendf(answer, "%s", line)
			}
		} else {
			asked.Add(1)
			w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
			id := strings.Repeat("ab", 20)
			answer = pktline.Appendf(nil, "%s HEAD symref-target:refs/heads/main\n", id)
			for i := range 20 {
				answer = pktline.Appendf(answer, "%s refs/heads/b%02d\n", id, i)
			}
			answer = pktline.Appendf(answer, "%s refs/heads/main\n", id)
		}
		_, _ = w.Write(append(answer, pktline.FlushPacket...))
	}))
	b.Cleanup(host.Close)
	return host
}

// BenchmarkService_poll looks at 5,000 repositories of one host every 15 seconds:
// looks/s is how fast all of them are done when all are due, delay-ms how late the
// latest look began in a minute of that pace.
func BenchmarkService_poll(b *testing.B) {
	const n, pace = 5000, 15 * time.Second
	w := coretest.NewWorld(b, coretest.Options{})
	var asked atomic.Int64
	host := strings.TrimPrefix(quickHost(b, &asked).URL, "http://")
	w.Plugin.AddHost(providers.HostPolicy{Host: host, Scheme: "http", AllowPrivate: true})
	w.Plugin.SetPoll(pace.String())
	ctx := b.Context()
	probe := core.Repository{ID: "repo_probe", Upstream: &core.Upstream{Instance: "test", Mode: providers.ModePublic, Host: host, Owner: "o", Name: "n"}}
	adv, err := w.Upstreams.Refs(ctx, probe, []string{"HEAD", "refs/heads/", "refs/tags/"})
	require.NoError(b, err)
	now := w.Clock.Now()
	require.NoError(b, w.Store.Tx(ctx, func(q core.Queries) error {
		for i := range n {
			r := core.Repository{
				ID: core.NewID("repo", now), Org: coretest.Org, Name: fmt.Sprint("r", i), DefaultBranch: "main", ObjectFormat: "sha1", CreatedAt: now,
				Upstream: &core.Upstream{Provider: "loopback", Instance: "test", Mode: providers.ModePublic, Host: host, Owner: "o", Name: fmt.Sprint(i)},
			}
			if err := q.CreateRepository(ctx, r); err != nil {
				return err
			}
			s := core.SyncState{RepoID: r.ID, FirstSyncedAt: now, ChangedAt: now, Digest: adv.Digest()}
			if err := q.FinishSync(ctx, s); err != nil {
				return err
			}
			if err := q.SetPoll(ctx, r.ID, now); err != nil {
				return err
			}
		}
		return nil
	}))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	asked.Store(0)
	sched := schedule.New(schedule.Options{Store: w.Store, Upstreams: w.Upstreams, Clock: w.Clock, Logger: w.Logger})
	monitor := upstream.NewMonitor(upstream.MonitorOptions{Hosts: w.Upstreams, Store: w.Store, Schedule: sched, Clock: w.Clock, Logger: w.Logger})
	s := mirror.New(mirror.Options{Git: w.Git, Repos: w.Repos, Store: w.Store, Upstreams: w.Upstreams, Monitor: monitor, Schedule: sched, Clock: w.Clock, Logger: w.Logger})
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	b.ResetTimer()
	begin := time.Now()
	go func() {
		defer close(done)
		_ = s.Serve(ctx)
	}()
	for asked.Load() < n {
		time.Sleep(10 * time.Millisecond)
	}
	b.ReportMetric(n/time.Since(begin).Seconds(), "looks/s")
	var latest time.Duration
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if time.Until(end) > time.Minute-pace-2*time.Second {
			continue // all were due at once; their jitter spreads them
		}
		at := w.Clock.Now()
		due, err := w.Store.DuePolls(ctx, at, 1)
		require.NoError(b, err)
		for _, row := range due {
			state, err := w.Store.SyncState(ctx, row.RepoID)
			require.NoError(b, err)
			latest = max(latest, at.Sub(state.PollAt))
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(latest.Milliseconds()), "delay-ms")
	b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/(1<<20), "heap-MB")
	cancel()
	<-done
}
