package server

import (
	"context"
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/engine"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/server/api"
	"github.com/headwater-git/headwater/server/console"
	"github.com/headwater-git/headwater/server/metrics"
	"github.com/headwater-git/headwater/server/middleware"
)

// observers has both the metrics and the recorder of the console count what was done.
type observers struct {
	*metrics.Metrics
	recorder *console.Recorder
}

var _ engine.Observer = observers{}

// Pushed implements [engine.Observer].
func (o observers) Pushed(f push.Finished) {
	o.Metrics.Pushed(f)
	o.recorder.Pushed(f)
}

// Synced implements [engine.Observer].
func (o observers) Synced(r core.Repository, run core.Run) {
	o.Metrics.Synced(r, run)
	o.recorder.Synced(r, run)
}

// newConsole returns the console. It calls the same operations as the API's clients; the
// handler that takes its word for who calls is reached by it alone.
func (s *Server) newConsole(o Options, verifier *access.Verifier, rates *middleware.Rates) (*console.Console, error) {
	parts := s.engine.Services()
	return console.New(console.Options{
		Store: s.store, Clock: o.Clock, Logger: o.Logger.Named("console"), Verifier: verifier,
		API: func(identify func(ctx context.Context) (access.Identity, error)) http.Handler {
			rest := s.restOptions(o, verifier, rates)
			rest.Identify = identify
			return api.New(rest)
		},
		Operation: api.Operation, Plans: parts.Mirror, Hosts: parts.Schedule.Hosts, Server: s.consoleServer, Unsettled: parts.Push.Unsettled, Stopping: s.drain.ending, StatusOf: api.StatusOf, PublicURL: o.PublicURL, Grace: o.FetchGrace,
	})
}

// consoleServer is what the console shows of the server to its owner.
func (s *Server) consoleServer(ctx context.Context) console.Server {
	status := s.status(ctx)
	return console.Server{
		Version: status.Version, Git: status.Git, StartedAt: status.StartedAt.Time(), Problems: status.Problems,
		DiskSize: status.Disk.Size, DiskFree: status.Disk.Free, Disk: status.Disk.Used,
		Running: status.Requests.Running, Waiting: status.Requests.Waiting,
	}
}
