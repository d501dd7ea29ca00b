package server

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/headwater-git/headwater/core/engine"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/providers/config"
	"github.com/headwater-git/headwater/providers/host"
	"github.com/headwater-git/headwater/server/backup"
	"github.com/headwater-git/headwater/server/console"
	"github.com/headwater-git/headwater/server/database"
	"github.com/headwater-git/headwater/server/metrics"
	"github.com/headwater-git/headwater/server/tracing"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/seal"
)

// traceFlush is how long the end of the server waits for a collector, which may be gone.
const traceFlush = 2 * time.Second

// Server is one Headwater server.
type Server struct {
	log        hclog.Logger
	engine     *engine.Engine
	store      *store.Store
	release    func() error // of the claim on the database
	catalog    *host.Catalog
	loadConfig func() (*config.Config, error)
	handler    http.Handler
	lock       *os.File
	drain      *drain
	backup     *backup.Gate
	metrics    *metrics.Metrics
	disk       *metrics.DiskMeter
	recorder   *console.Recorder
	tracing    *tracing.Tracing

	version, gitVersion string
	startedAt           time.Time

	stop    context.CancelFunc // ends Run
	stopped sync.Once

	mu      sync.Mutex
	closed  bool           // no Run begins any more
	running sync.WaitGroup // Run; counted up under mu while not closed
	runCtx  context.Context
}

// New opens the data directory, making what is missing, and wires the server.
// In an empty one it makes the organisation "local" and its key. It finishes
// what a crash cut short before it returns, so that nothing unfinished is ever
// served. It starts no goroutine: call Run.
func New(ctx context.Context, o Options) (_ *Server, err error) {
	if o, err = o.withDefaults(); err != nil {
		return nil, err
	}
	cfg, err := loadConfig(o)
	if err != nil {
		return nil, err
	}
	s := &Server{
		log: o.Logger, version: o.Version, startedAt: o.Clock.Now(), drain: newDrain(), disk: metrics.NewDiskMeter(o.DataDir, o.Clock),
		metrics:    metrics.New(metrics.Options{Version: o.Version, Worst: o.MetricsWorst, Clock: o.Clock}),
		loadConfig: func() (*config.Config, error) { return loadConfig(o) },
	}
	s.runCtx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
		}
	}()
	if o.TraceEndpoint != "" {
		if s.tracing, err = tracing.New(ctx, o.TraceEndpoint, o.Version); err != nil {
			return nil, err
		}
	}
	if s.lock, err = openDataDir(o.DataDir); err != nil {
		return nil, err
	}
	g, err := git.New(ctx, git.Options{Path: o.GitPath, Logger: o.Logger, Memory: o.Memory, Stall: o.Stall, Ended: s.metrics.Git})
	if err != nil {
		return nil, err
	}
	if s.store, err = openStore(ctx, o, s.metrics.StoreWrote); err != nil {
		return nil, err
	}
	if s.release, err = s.store.Claim(ctx); err != nil {
		return nil, err
	}
	if s.catalog, err = newCatalog(o, cfg, func(found bool) { s.metrics.Cached(engine.CacheCredentials, found) }); err != nil {
		return nil, err
	}
	if err := s.catalog.CheckBlocks(ctx); err != nil {
		return nil, err
	}
	s.recorder = console.NewRecorder(console.RecorderOptions{Store: s.store, Clock: o.Clock, Logger: o.Logger.Named("console")})
	if s.engine, err = newEngine(o, g, s.store, s.catalog, observers{s.metrics, s.recorder}); err != nil {
		return nil, err
	}
	if err := s.engine.Recover(ctx); err != nil {
		return nil, err
	}
	s.backup = backup.NewGate(backup.GateOptions{
		DataDir: o.DataDir, Locks: s.engine.Services().Repos.Locks(), Repositories: s.store.FolderIDs,
		Released: s.engine.Services().Maintain.Due, Clock: o.Clock, Logger: o.Logger.Named("backup"),
	})
	s.gitVersion = g.Version().String()
	s.watch()
	if s.handler, err = s.newHandler(ctx, o); err != nil {
		return nil, err
	}
	return s, nil
}

// loadConfig reads providers.hcl, if there is one.
func loadConfig(o Options) (*config.Config, error) {
	if o.ConfigFile == "" {
		return &config.Config{}, nil
	}
	return config.Load(o.ConfigFile, o.LookupEnv)
}

// openStore opens the database, unless the data directory looks like a loss.
func openStore(ctx context.Context, o Options, wrote func(waited, held time.Duration)) (*store.Store, error) {
	if err := checkDataDir(ctx, o); err != nil {
		return nil, err
	}
	st, err := openDatabase(ctx, o, wrote)
	if err != nil {
		return nil, err
	}
	if err := checkDatabase(ctx, o, st); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return st, nil
}

// openDatabase opens the database. In an empty one it makes the first organisation.
func openDatabase(ctx context.Context, o Options, wrote func(waited, held time.Duration)) (*store.Store, error) {
	sealer, err := openSealer(o)
	if err != nil {
		return nil, err
	}
	st, err := database.Place{DataDir: o.DataDir, DSN: o.Database}.Open(ctx, store.Options{Sealer: sealer, Logger: o.Logger, Clock: o.Clock, Wrote: wrote})
	if err != nil {
		return nil, err
	}
	if err := firstOrg(ctx, st, o); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return st, nil
}

// openSealer returns what encrypts stored credentials: the given keyset, or the
// one in the data directory's key file.
func openSealer(o Options) (store.Sealer, error) {
	if o.SealKey != "" {
		return seal.Parse(o.SealKey)
	}
	return seal.LoadOrCreate(filepath.Join(o.DataDir, "keys", "seal.json"))
}

// newCatalog returns the provider instances of the configuration.
func newCatalog(o Options, cfg *config.Config, looked func(found bool)) (*host.Catalog, error) {
	return host.New(host.Options{
		Proxy:       o.EgressProxy,
		Config:      cfg,
		Builtins:    o.Builtins,
		Self:        func() []string { return o.PluginCommand },
		Logger:      o.Logger,
		HostVersion: o.Version,

		CredentialLooked: looked,
	})
}

// newEngine returns the core on git, the store and the providers.
func newEngine(o Options, g *git.Git, st *store.Store, catalog *host.Catalog, observer engine.Observer) (*engine.Engine, error) {
	return engine.New(engine.Options{
		DataDir:      o.DataDir,
		Git:          g,
		Store:        st,
		Plugins:      plugins{catalog},
		Clock:        o.Clock,
		Logger:       o.Logger,
		Resolver:     o.Resolver,
		Agent:        "headwater/" + o.Version,
		Failpoint:    o.Failpoint,
		CommitPoint:  o.CommitPoint,
		PublicURL:    o.PublicURL,
		MaxPushSize:  o.MaxPushSize,
		SettlePeriod: o.SettlePeriod,
		KeepDeleted:  o.KeepDeleted,
		Webhooks:     o.Webhooks,
		Limits:       o.Limits,
		Trees:        o.Trees,
		Observer:     observer,
	})
}

// Handler serves the API and the Git remotes.
func (s *Server) Handler() http.Handler { return s.handler }

// Engine returns the core, for programs that embed the server.
func (s *Server) Engine() *engine.Engine { return s.engine }

// Run does the background work (settling interrupted pushes, syncs,
// maintenance, holding writers for a backup) until ctx ends or Shutdown is called. After Shutdown it does
// nothing.
func (s *Server) Run(ctx context.Context) error {
	if !s.begin() {
		return nil
	}
	defer s.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.runCtx, cancel)()
	g, ctx := errgroup.WithContext(s.tracing.With(ctx))
	g.Go(func() error { return s.backup.Run(ctx) })
	g.Go(func() error { return s.disk.Run(ctx) })
	g.Go(func() error { return s.recorder.Run(ctx) })
	g.Go(func() error {
		defer cancel() // the gate goes with the engine, however that ends
		return s.engine.Run(ctx)
	})
	return g.Wait()
}

// Reload reads [Options.ConfigFile] again. A provider instance whose block did not change
// goes on undisturbed; pushes and fetches in flight go on in any case. If the file
// cannot be used, the former one stays in force and the error says why.
func (s *Server) Reload(ctx context.Context) error {
	cfg, err := s.loadConfig()
	if err != nil {
		return err
	}
	return s.catalog.Reload(ctx, cfg)
}

// Shutdown takes no new requests, waits for running ones (a push that is on
// its way upstream above all) until ctx ends, then stops the background work,
// the plugins and the store. It may be called twice.
func (s *Server) Shutdown(ctx context.Context) error {
	var err error
	s.stopped.Do(func() {
		err = s.drain.wait(ctx)
		err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
	})
	return err
}

// begin counts a Run, unless the server is closing: what counts up while
// somebody waits for zero may be missed, and would work on a closed store.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Add(1)
	return true
}

// close stops and closes everything that was opened.
func (s *Server) close(ctx context.Context) error {
	s.stop()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.running.Wait()
	var errs []error
	if s.engine != nil {
		errs = append(errs, s.engine.Close())
	}
	if s.catalog != nil {
		errs = append(errs, s.catalog.Close(ctx))
	}
	if s.store != nil {
		if s.release != nil {
			errs = append(errs, s.release())
		}
		errs = append(errs, s.store.Close())
	}
	if s.lock != nil {
		errs = append(errs, unlockDir(s.lock))
	}
	flush, cancel := context.WithTimeout(ctx, traceFlush)
	defer cancel()
	if err := s.tracing.Shutdown(flush); err != nil {
		s.log.Warn("the last traces were not sent", "error", err) // nothing that was done is lost
	}
	return errors.Join(errs...)
}
