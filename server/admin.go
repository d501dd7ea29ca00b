package server

import (
	"net"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/providers/host"
	"github.com/headwater-git/headwater/providers/netguard"
	"github.com/headwater-git/headwater/server/metrics"
)

// watch has the metrics read what is, besides what happens.
func (s *Server) watch() {
	parts := s.engine.Services()
	s.metrics.Watch(metrics.Sources{
		GitVersion: s.gitVersion,
		Store:      s.store,
		Hosts:      parts.Schedule.Hosts,
		Load:       func() (requests, heavy limit.Load) { return parts.Limiter.Load(), parts.Limiter.HeavyLoad() },
		Plugins:    func() []metrics.Plugin { return pluginMetrics(s.catalog) },
		Disk:       s.disk.Disk,
	})
}

// pluginMetrics returns how the plugins are.
func pluginMetrics(catalog *host.Catalog) []metrics.Plugin {
	var all []metrics.Plugin
	for _, p := range catalog.Status() {
		all = append(all, metrics.Plugin{Instance: p.Name, Running: p.State == host.StateRunning, Starts: p.Generation, Crashes: p.Crashes})
	}
	return all
}

// AdminHandler serves what is for the operator alone, on an address of its own:
// /metrics for Prometheus, /status (a [Status]), and /debug/pprof of net/http/pprof. It asks for no token, so
// that the address decides who reads. A request that names another machine than this
// one or an address is refused if it comes over loopback: it is a web page that had its
// name point there.
func (s *Server) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.Handler())
	mux.HandleFunc("GET /status", s.serveStatus)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("Headwater, for its operator\n\n/metrics       for Prometheus\n/status        for headwater status\n/debug/pprof/  profiles of the running server\n"))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && netguard.IsLoopback(local.String()) && !isAddressOrLocal(r.Host) {
			http.Error(w, "name this server by its address", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// isAddressOrLocal reports whether the Host of a request is an address or localhost.
func isAddressOrLocal(hostPort string) bool {
	name, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		name = hostPort
	}
	name = strings.Trim(name, "[]")
	return strings.EqualFold(name, "localhost") || net.ParseIP(name) != nil
}
