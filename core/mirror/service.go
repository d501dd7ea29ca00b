package mirror

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/core/loop"
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

// Store is what this package needs of the store. What is written together is written in
// transactions.
type Store interface {
	core.Transactor
	core.ForgottenStore
	RepositoryByID(ctx context.Context, id string) (core.Repository, error)
	SetObjectFormat(ctx context.Context, id, format string) error
	SyncState(ctx context.Context, repoID string) (core.SyncState, error)
	RequestSync(ctx context.Context, repoID, trigger, ref string) (int64, error)
	TakeSync(ctx context.Context, repoID string) (core.SyncState, error)
	SetPoll(ctx context.Context, repoID string, at time.Time) error
	StartRun(ctx context.Context, r core.Run) error
	Expectations(ctx context.Context, repoID string) ([]core.Expectation, error)
	HeldRewrites(ctx context.Context, repoID string) ([]core.Rewrite, error)
	InboundWebhook(ctx context.Context, repoID string) (core.InboundWebhook, error)
	NoteInbound(ctx context.Context, repoID string, delivered, missed time.Time) error
}

// Options configures [New].
type Options struct {
	Git       *git.Git
	Repos     *repo.Repos
	Store     Store
	Upstreams Upstreams
	Monitor   *upstream.Monitor
	Schedule  *schedule.Service
	Clock     core.Clock
	Logger    hclog.Logger

	// Room is an error if nothing may be added to the repository: why a run fails that
	// would fetch. Nil: there always is room.
	Room func(ctx context.Context, r core.Repository) error
	// Mirrored is called after every finished first mirror; nil: nothing is.
	Mirrored func(repoID string)
	// Rebuilds replace folders that are missing or damaged; nil: none is.
	Rebuilds Rebuilds
	// LFS knows which objects of LFS are here; nil: no ref waits for any.
	LFS LFS
	// Ended is called after every run, for whoever counts; it must not block. nil:
	// nobody does.
	Ended func(r core.Repository, run core.Run)
	// Missed is called when a poll has found what a webhook was to announce; nil:
	// nothing is.
	Missed func()
}

// Mirror makes copies equal to their upstreams, one run at a time each. It is safe for
// concurrent use.
type Mirror struct {
	git      *git.Git
	repos    *repo.Repos
	store    Store
	up       Upstreams
	monitor  *upstream.Monitor
	schedule *schedule.Service
	clock    core.Clock
	log      hclog.Logger
	running  *running
	rebuilds Rebuilds
	fetches  *fetches
	places   *places
	room     func(ctx context.Context, r core.Repository) error
	ended    func(r core.Repository, run core.Run)
	lfs      LFS
}

// Service is what the scheduler calls: it makes the runs and looks that are due, and
// looks for those who wait. It is safe for concurrent use.
type Service struct {
	*Mirror
	mirrored     func(repoID string)
	missed       func()
	sessions     *sessions
	observations *observations
}

var _ schedule.Worker = (*Service)(nil)

// New returns a service that runs nothing before [Service.Serve].
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Mirrored == nil {
		o.Mirrored = func(string) {}
	}
	if o.Room == nil {
		o.Room = func(context.Context, core.Repository) error { return nil }
	}
	if o.Ended == nil {
		o.Ended = func(core.Repository, core.Run) {}
	}
	if o.Missed == nil {
		o.Missed = func() {}
	}
	s := &Service{
		Mirror: &Mirror{
			git: o.Git, repos: o.Repos, store: o.Store, up: o.Upstreams, monitor: o.Monitor, schedule: o.Schedule, clock: o.Clock,
			log: o.Logger.Named("sync"), running: &running{clock: o.Clock, runs: map[string]*core.Progress{}}, rebuilds: o.Rebuilds,
			fetches: &fetches{dirs: map[string]*folder{}}, places: &places{paths: map[string]string{}}, ended: o.Ended, room: o.Room, lfs: o.LFS,
		},
		mirrored: o.Mirrored, missed: o.Missed, observations: &observations{wake: loop.NewSignal()},
	}
	s.sessions = &sessions{locks: o.Repos.Locks(), ended: s.sessionsEnded, refs: map[string]map[string]bool{}}
	return s
}

// Serve does what the schedule admits until ctx ends, then waits for what is under
// way, which gets the same context and so ends soon; what was fetched stays.
func (s *Service) Serve(ctx context.Context) error {
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { s.writeObservations(context.WithoutCancel(ctx), stop) })
	defer func() {
		close(stop) // no look is under way any more
		writer.Wait()
	}()
	s.sessions.start(ctx)
	defer s.sessions.stop()
	return s.schedule.Run(ctx, s)
}

// Run implements [schedule.Worker]: one run, from taking the request to recording the
// outcome.
func (s *Service) Run(ctx context.Context, item schedule.Item) schedule.Result {
	defer s.running.start(item.RepoID)()
	r, err := s.linked(ctx, item.RepoID)
	if err != nil || r.Upstream == nil {
		return s.notStarted(ctx, item.RepoID, err)
	}
	// Before the state is read: a session that ends between the two would be missed
	// by both, and its refs would look like news of the upstream's.
	watch := s.repos.Watch(r.ID)
	defer watch.Close()
	taken, err := s.store.TakeSync(ctx, r.ID)
	if err != nil {
		return s.notStarted(ctx, r.ID, err)
	}
	return s.execute(ctx, Request{Repo: r, State: taken, Watch: watch})
}

// linked returns the repository with the link that it has now, without an upstream
// if it has none any more. A run or look asks once it is admitted: from then on a
// change of the link waits for its end. See [schedule.Service.Halt].
func (s *Service) linked(ctx context.Context, repoID string) (core.Repository, error) {
	r, err := s.store.RepositoryByID(ctx, repoID)
	if core.KindOf(err) == core.KindNotFound {
		return core.Repository{}, nil
	}
	return r, err
}

// notStarted is the result of a run that the store did not let start.
func (s *Service) notStarted(ctx context.Context, repoID string, err error) schedule.Result {
	if err != nil && core.KindOf(err) != core.KindNotFound {
		s.log.Error("cannot take a sync", "repo_id", repoID, "error", err)
		s.holdOff(ctx)
	}
	return schedule.Result{Err: err}
}

// execute makes a run and takes care of what follows from it.
func (s *Service) execute(ctx context.Context, q Request) schedule.Result {
	r := s.Mirror.Run(ctx, q)
	s.sessions.await(r.Run.RepoID, r.Sessions)
	err := errors.Join(r.Err, r.Record)
	switch {
	case r.Record != nil:
		s.log.Error("the store does not take a sync", "repo_id", r.Run.RepoID, "error", r.Record)
		s.holdOff(ctx)
	default:
		s.schedule.Notify(schedule.Look, r.PollAt)
	}
	if r.Run.First && err == nil {
		s.mirrored(r.Run.RepoID)
	}
	return schedule.Result{Generation: q.State.Wanted, Err: err}
}

// storePause is how long a repository rests when the store failed.
const storePause = 5 * time.Second

// holdOff delays the end of a run or look when the store fails. Its row stays due,
// so it would start again at once, and again, against the upstream too.
func (s *Service) holdOff(ctx context.Context) { loop.Sleep(ctx, s.clock, storePause, nil) }

// Cancel ends the repository's run or look, if one is under way, and waits until it
// has ended: before the repository is detached or deleted.
func (s *Service) Cancel(ctx context.Context, repoID string) error {
	s.monitor.Forget(repoID)
	return s.schedule.Cancel(ctx, repoID)
}

// Fresh makes sure, within the context's deadline, that the local copy shows
// what the upstream has: before a push gets the refs to negotiate against, and
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
	if !state.PausedAt.IsZero() {
		return core.Errorf(core.KindConflict, core.PausedSentence)
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
		s.sessions.await(r.ID, c.inFlight)
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
