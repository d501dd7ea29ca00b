package server

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers/host"
)

// Status is what a running server says of itself to its operator. It names no
// repository and no organisation: those are in the database.
type Status struct {
	Version   string         `json:"version"`
	Git       string         `json:"git"`
	StartedAt core.Timestamp `json:"started_at"`
	Ready     bool           `json:"ready"`
	// Problems are what the operator has to look at, in one sentence each.
	Problems []string       `json:"problems"`
	Requests StatusLoad     `json:"requests"`
	Heavy    StatusLoad     `json:"heavy"` // searches, walks over history and merges among them
	Hosts    []StatusHost   `json:"hosts"` // those with something under way, due, or paused
	Plugins  []StatusPlugin `json:"plugins"`
	Disk     StatusDisk     `json:"disk"`
}

// StatusLoad is how much runs and waits.
type StatusLoad struct {
	Running int `json:"running"`
	Waiting int `json:"waiting"`
}

// StatusHost is what goes on at one upstream host.
type StatusHost struct {
	Host   string `json:"host"`
	Runs   int    `json:"runs"`  // syncs under way
	Looks  int    `json:"looks"` // questions for its refs under way
	Queued int    `json:"queued"`
	// PausedUntil is until when it is left alone, null if it is not; Reason is
	// "rate_limited" or "down".
	PausedUntil *core.Timestamp `json:"paused_until"`
	Reason      string          `json:"reason,omitempty"`
}

// StatusPlugin is the plugin of a provider instance.
type StatusPlugin struct {
	Instance  string     `json:"instance"`
	State     host.State `json:"state"`
	Starts    int        `json:"starts"`
	Crashes   int        `json:"crashes"`
	LastError string     `json:"last_error,omitempty"`
}

// StatusDisk is the disk of the data directory, in bytes.
type StatusDisk struct {
	Size int64 `json:"size"`
	Free int64 `json:"free"`
	// Used is by class, as of the last walk over the directory; null before the first.
	Used map[string]int64 `json:"used"`
}

// serveStatus answers with the [Status].
func (s *Server) serveStatus(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.status(r.Context())) // who asked has left
}

// status returns how the server is.
func (s *Server) status(ctx context.Context) Status {
	parts := s.engine.Services()
	out := Status{
		Version: s.version, Git: s.gitVersion, StartedAt: core.Timestamp(s.startedAt), Problems: parts.Readiness.Problems(),
		Hosts: []StatusHost{}, Plugins: []StatusPlugin{},
	}
	err := parts.Readiness.Check(ctx)
	if out.Ready = err == nil; err != nil && !slices.Contains(out.Problems, core.MessageOf(err)) {
		out.Problems = append(out.Problems, core.MessageOf(err))
	}
	if out.Problems == nil {
		out.Problems = []string{}
	}
	requests, heavy := parts.Limiter.Load(), parts.Limiter.HeavyLoad()
	out.Requests, out.Heavy = StatusLoad(requests), StatusLoad(heavy)
	for _, h := range parts.Schedule.Hosts() {
		one := StatusHost{Host: h.Host, Runs: h.Runs, Looks: h.Looks, Queued: h.Queued, Reason: h.Reason()}
		if !h.PausedUntil.IsZero() {
			one.PausedUntil = new(core.Timestamp(h.PausedUntil))
		}
		out.Hosts = append(out.Hosts, one)
	}
	for _, p := range s.catalog.Status() {
		out.Plugins = append(out.Plugins, StatusPlugin{Instance: p.Name, State: p.State, Starts: p.Generation, Crashes: p.Crashes, LastError: p.LastError})
	}
	disk := s.disk.Disk()
	out.Disk = StatusDisk(disk)
	return out
}
