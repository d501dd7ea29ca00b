package mirror

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

// Upstreams is what a sync needs of core/upstream.
type Upstreams interface {
	Do(ctx context.Context, repo core.Repository, op providers.Operation, f func(r git.Remote) error) error
	Refs(ctx context.Context, repo core.Repository, prefixes []string) (discovery.Advertisement, error)
	Manifest(ctx context.Context, up core.Upstream) (providers.Manifest, error)
}

// Options configures [New].
type Options struct {
	Git       *git.Git
	Repos     *repo.Repos
	Store     core.Store
	Upstreams Upstreams
	Monitor   *upstream.Monitor
	Schedule  *schedule.Service
	Clock     core.Clock
	Logger    hclog.Logger

	// Mirrored is called after every finished first mirror; nil: nothing is.
	Mirrored func(repoID string)
	// Rebuilds replace folders that are missing or damaged; nil: none is.
	Rebuilds Rebuilds
	// Missed is called when a poll has found what a webhook was to announce; nil:
	// nothing is.
	Missed func()
}

// Service makes repositories equal to their upstreams. It is safe for concurrent
// use.
type Service struct {
	git      *git.Git
	repos    *repo.Repos
	store    core.Store
	up       Upstreams
	monitor  *upstream.Monitor
	schedule *schedule.Service
	clock    core.Clock
	log      hclog.Logger
	o        Options

	mu       sync.Mutex
	progress map[string]*core.Progress // of the runs under way, by repository id
	seen     seen

	lifetime context.Context            // of Run, while it runs
	inUse    map[string]map[string]bool // refs that sessions had when they were listed, by repository id
	waits    sync.WaitGroup             // for their ends
}

var _ schedule.Worker = (*Service)(nil)

// firstPhase is what a run is at before git says something.
const firstPhase = "Contacting the upstream"

// New returns a service that runs nothing before [Service.Serve].
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Mirrored == nil {
		o.Mirrored = func(string) {}
	}
	if o.Missed == nil {
		o.Missed = func() {}
	}
	return &Service{
		git: o.Git, repos: o.Repos, store: o.Store, up: o.Upstreams, monitor: o.Monitor, schedule: o.Schedule, clock: o.Clock, log: o.Logger.Named("sync"), o: o,
		progress: map[string]*core.Progress{}, inUse: map[string]map[string]bool{},
		seen: seen{wake: make(chan struct{}, 1)},
	}
}

// Progress returns the progress of the repository's run, if one is under way.
func (s *Service) Progress(repoID string) (core.Progress, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.progress[repoID]
	if p == nil {
		return core.Progress{}, false
	}
	return *p, true
}

// Running returns the progress of every run that is under way, by repository id.
func (s *Service) Running() map[string]core.Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]core.Progress, len(s.progress))
	for id, p := range s.progress {
		all[id] = *p
	}
	return all
}

// startProgress shows the repository's run until the returned function is called.
func (s *Service) startProgress(repoID string) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.progress[repoID] = &core.Progress{Phase: firstPhase, StartedAt: core.Timestamp(s.clock.Now())}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.progress, repoID)
	}
}

func (s *Service) setProgress(repoID string, change func(p *core.Progress)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.progress[repoID]; p != nil {
		change(p)
	}
}

// Serve does what the schedule admits until ctx ends, then waits for what is under
// way, which gets the same context and so ends soon; what was fetched stays.
func (s *Service) Serve(ctx context.Context) error {
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { s.writeSeen(context.WithoutCancel(ctx), stop) })
	defer func() {
		close(stop) // no look is under way any more
		writer.Wait()
	}()
	s.setLifetime(ctx)
	defer func() {
		s.setLifetime(nil) //nolint:staticcheck // no wait for a session begins any more
		s.waits.Wait()
	}()
	return s.schedule.Run(ctx, s)
}

func (s *Service) setLifetime(ctx context.Context) {
	s.mu.Lock()
	s.lifetime = ctx
	s.mu.Unlock()
}

// Cancel ends the repository's run or look, if one is under way, and waits until it
// has ended: before the repository is detached or deleted.
func (s *Service) Cancel(ctx context.Context, repoID string) error {
	s.monitor.Forget(repoID)
	return s.schedule.Cancel(ctx, repoID)
}

// Fresh makes sure, within the context's deadline, that the local copy shows
// what the upstream has: before a push is told what to negotiate against, and
// for reads that demand it. It costs one listing; only a difference causes a run.
// When it returns without an error, ObservedAt is not before the call, unless
// nothing but refs differs that write sessions here have in their hands. An error
// means that the copy may be behind.
func (s *Service) Fresh(ctx context.Context, r core.Repository) error {
	watch := s.repos.Watch(r.ID) // before the state is read; see Run
	defer watch.Close()
	state, err := s.store.SyncState(ctx, r.ID)
	if err != nil {
		return err
	}
	if !state.Ready() {
		return nil // nothing to be behind of
	}
	if until := s.schedule.PausedUntil(r.Upstream.Host); !until.IsZero() {
		return &core.Error{
			Kind: core.KindRateLimited, Op: "look at the upstream", Message: "the host " + r.Upstream.Host + " is left alone for a while: it limits or cannot be reached",
			RetryAfter: until.Sub(s.clock.Now()),
		}
	}
	if state.UpstreamState.Gone() {
		// Whatever answers there now is not what was followed.
		return core.Errorf(core.KindUpstreamUnavailable, "%s", state.LastError)
	}
	l := s.listFor(ctx, r, "")
	if l.err != nil {
		return l.err
	}
	c, err := s.compare(ctx, r, l, state, watch)
	if err != nil {
		return err
	}
	if c.partly() {
		s.await(r.ID, c.inFlight)
		return nil
	}
	if c.same {
		if state.Served < state.Wanted && state.Failures > 0 {
			// It works again: what waits for that need not wait longer.
			if _, err := s.schedule.Request(ctx, r.ID, schedule.TriggerPush, ""); err != nil {
				return err
			}
		}
		_, err = s.writeLooks(ctx, []observation{{repo: r, at: l.at, pollAt: state.PollAt}})
		return err
	}
	gen, err := s.schedule.Request(ctx, r.ID, schedule.TriggerPush, "")
	if err != nil {
		return err
	}
	return s.schedule.Wait(ctx, r.ID, gen)
}

// errShutdown is why a run ends when the server stops.
var errShutdown = errors.New("the server is shutting down")
