package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	prometheus "github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server"
)

// scrape returns the values of the series of a server, by their text form. Of a
// histogram it is the count.
func scrape(t *testing.T, s *server.Server) map[string]float64 {
	t.Helper()
	w := httptest.NewRecorder()
	s.AdminHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, w.Code)
	parser := expfmt.NewTextParser(prometheus.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	require.NoError(t, err)
	values := map[string]float64{}
	for name, f := range families {
		for _, s := range f.GetMetric() {
			var labels []string
			for _, l := range s.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			value := s.GetCounter().GetValue() + s.GetGauge().GetValue() + float64(s.GetHistogram().GetSampleCount())
			values[name+"{"+strings.Join(labels, ",")+"}"] = value
		}
	}
	return values
}

func TestMetrics_ofAServer(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 2})
	c := b.Caller.Client(t, mirror).Clone(b.Remote(mirror))
	c.Commit("one more")
	c.Git("push", "-q", "origin", "HEAD")
	b.forge.Protect(origin, "refs/heads/frozen")
	_, err := c.Try("push", "-q", "origin", "HEAD:refs/heads/frozen")
	require.Error(t, err)
	require.Equal(t, http.StatusNotFound, b.Call(t, http.MethodGet, "/api/repos/no-such", b.Token(t, "no-such"), nil).Status)

	got := scrape(t, b.Server.Server)
	for series, want := range map[string]float64{
		"headwater_pushes_total{outcome=ok,source=push}":                                       1,
		"headwater_pushes_total{outcome=refused,source=push}":                                  1,
		"headwater_push_refs_total{result=moved}":                                              1,
		"headwater_push_phase_duration_seconds{phase=upstream}":                                2,
		"headwater_push_phase_duration_seconds{phase=apply}":                                   2,
		"headwater_repositories{state=ready}":                                                  1,
		"headwater_repositories{state=local}":                                                  0,
		"headwater_mirror_lag_seconds{}":                                                       1,
		"headwater_unfinished_writes{}":                                                        0,
		"headwater_organisations{}":                                                            1,
		"headwater_plugin_up{instance=gitea}":                                                  1,
		"headwater_scrape_failed{}":                                                            0,
		"headwater_sync_phase_duration_seconds{phase=fetch}":                                   1,
		"headwater_http_requests_total{method=POST,route=/{repo}/git-receive-pack,status=200}": 2,
	} {
		require.InDelta(t, want, got[series], 0, series)
	}
	require.Positive(t, got["headwater_git_processes_total{command=receive-pack,ending=ok}"])
	require.Positive(t, got["headwater_git_process_cpu_seconds_total{command=fetch}"])
	require.Positive(t, got["headwater_git_process_memory_bytes{command=fetch}"])
	require.Positive(t, got["headwater_store_write_duration_seconds{}"])
	require.Positive(t, got["headwater_disk_size_bytes{}"])
	for _, cache := range []string{"keys", "credentials", "object_readers"} {
		require.Positive(t, got["headwater_cache_lookups_total{cache="+cache+",result=miss}"], cache)
	}
	require.Positive(t, got["headwater_cache_lookups_total{cache=keys,result=hit}"])
	require.Positive(t, got["headwater_http_request_duration_seconds{route=/api/repos/{repo}}"]+got["headwater_http_request_duration_seconds{route=/api/repos/{name}}"])
	for series := range got {
		require.NotContains(t, series, "widget", "names are tenants'")
		require.NotContains(t, series, "team/mirror", "names are tenants'")
	}
}

// A page in the operator's browser may have its own name lead to loopback.
func TestAdminHandler_onLoopbackOnlyByAddress(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 1})
	admin := httptest.NewServer(b.AdminHandler())
	t.Cleanup(admin.Close)
	for host, want := range map[string]int{"": http.StatusOK, "localhost:1": http.StatusOK, "[::1]": http.StatusOK, "evil.example.org": http.StatusMisdirectedRequest} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, admin.URL+"/debug/pprof/cmdline", nil)
		require.NoError(t, err)
		r.Host = host
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, resp.StatusCode, host)
	}
	for path, want := range map[string]int{"/": http.StatusOK, "/api/repos": http.StatusNotFound} {
		resp, err := http.Get(admin.URL + path) //nolint:noctx // a test
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, resp.StatusCode, path)
	}
	require.Equal(t, http.StatusNotFound, b.Call(t, http.MethodGet, "/metrics", "", nil).Status, "not on the address of tenants")
}
