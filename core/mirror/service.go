package mirror

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/singleflight"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

// Triggers of a sync, as runs record them.
const (
	TriggerAPI        = "api"        // pull-upstream
	TriggerCreate     = "create"     // a public or App repository was made
	TriggerPush       = "push"       // a push found the local copy behind
	TriggerWebhook    = "webhook"    // the host announced a change
	TriggerCredential = "credential" // what failed may work with a new credential
	TriggerPoll       = "poll"       // a look found a change that nobody announced
	TriggerRecovery   = "recovery"   // the server found unfinished work at its start
)

// Upstreams is what a sync needs of core/upstream.
type Upstreams interface {
	Do(ctx context.Context, repo core.Repository, op providers.Operation, f func(r git.Remote) error) error
	Refs(ctx context.Context, repo core.Repository, prefixes []string) (git.Advertisement, error)
	Limit(up core.Upstream) int
	Manifest(ctx context.Context, up core.Upstream) (providers.Manifest, error)
	Check(ctx context.Context, repo core.Repository) (upstream.Condition, error)
	Poll(up core.Upstream) string
}

// Options configures [New].
type Options struct {
	Git       *git.Git
	Repos     *repo.Repos
	Store     core.Store
	Upstreams Upstreams
	Clock     core.Clock
	Logger    hclog.Logger

	// Mirrored is told of every finished first mirror; nil: nobody is.
	Mirrored func(repoID string)
	// Missed is told when a poll has found what a webhook was to announce; nil:
	// nobody is.
	Missed func()

	Concurrency     int           // runs at once; 0 is 8
	HostConcurrency int           // runs at once against one host; 0 is 3
	RunTimeout      time.Duration // one run; 0 is 6 h (a stall ends it sooner)
	Looks           int           // looks of the poller at once; 0 is 16
}

// Service schedules and runs syncs. It is safe for concurrent use.
type Service struct {
	git   *git.Git
	repos *repo.Repos
	store core.Store
	up    Upstreams
	clock core.Clock
	log   hclog.Logger
	o     Options

	wake chan struct{}

	budget *budget

	mu       sync.Mutex
	flights  map[string]*flight // by repository id
	looks    int                // of the flights
	crowded  bool               // see setCrowded
	waiters  map[string][]chan finished
	halted   map[string]int       // repositories that nothing may begin for
	webhooks map[string]time.Time // last look that a webhook caused at once
	doubts   map[string]bool      // upstreams to ask the host about
	checks   map[string]time.Time // when it was last asked
	// identities is what is known of who answers under the upstreams' names.
	identities map[string]*identity
	asking     singleflight.Group // questions for the sake of writes
	polls      polls
	seen       seen

	running context.Context            // of Run, while it runs
	inUse   map[string]map[string]bool // refs that sessions had when they were listed, by repository id
	waits   sync.WaitGroup             // for their ends
}

// firstPhase is what a run is at before git says something.
const firstPhase = "Contacting the upstream"

// flight is one running sync, or a look of the poller.
type flight struct {
	host     string
	look     bool
	progress core.Progress
	cancel   context.CancelFunc // nil until the run has begun
	grounded bool               // cancelled, maybe before it began
	landed   chan struct{}      // closed at the end
}

// finished tells waiters of a run that ended.
type finished struct {
	generation int64 // what it served, or tried to; 0: it could not even learn that
	err        error
}

// New returns a service that does nothing until [Service.Run].
func New(o Options) *Service {
	if o.Concurrency == 0 {
		o.Concurrency = 8
	}
	if o.HostConcurrency == 0 {
		o.HostConcurrency = 3
	}
	if o.Looks == 0 {
		o.Looks = 16
	}
	if o.RunTimeout == 0 {
		o.RunTimeout = 6 * time.Hour
	}
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
		git: o.Git, repos: o.Repos, store: o.Store, up: o.Upstreams, clock: o.Clock, log: o.Logger.Named("sync"), o: o,
		wake: make(chan struct{}, 1), budget: newBudget(o.Clock),
		flights: map[string]*flight{}, waiters: map[string][]chan finished{},
		halted: map[string]int{}, inUse: map[string]map[string]bool{}, webhooks: map[string]time.Time{}, doubts: map[string]bool{}, checks: map[string]time.Time{}, identities: map[string]*identity{},
		polls: polls{wake: make(chan struct{}, 1), known: map[string]struct{}{}, queue: map[string][]string{}},
		seen:  seen{wake: make(chan struct{}, 1)},
	}
}

// Request asks for a sync and returns its generation. With a ref (a branch or
// tag, short or full) the run is limited to that.
func (s *Service) Request(ctx context.Context, repoID, trigger, ref string) (int64, error) {
	gen, err := s.store.RequestSync(ctx, repoID, trigger, ref)
	if err != nil {
		return 0, err
	}
	s.poke()
	return gen, nil
}

// CredentialChanged has a new credential tried at once, so that one which does
// not work shows before somebody needs it. It returns before the upstream is
// asked. A repository whose first sync nobody has asked for yet is left alone.
func (s *Service) CredentialChanged(ctx context.Context, repoID string) error {
	s.mu.Lock()
	delete(s.identities, repoID) // what the old one could ask tells nothing of this one
	s.mu.Unlock()
	state, err := s.store.SyncState(ctx, repoID)
	if err != nil || state.Served >= state.Wanted && !state.Ready() {
		return err
	}
	return s.requestDoubting(ctx, repoID, TriggerCredential)
}

// poke wakes the scheduler.
func (s *Service) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Wait waits until a run that began with the generation, or a later one, has
// ended, and returns its error. A run that had begun before does not count; one
// that the store did not let begin does, though it will be tried again.
func (s *Service) Wait(ctx context.Context, repoID string, generation int64) error {
	ch := make(chan finished, 8)
	s.mu.Lock()
	s.waiters[repoID] = append(s.waiters[repoID], ch)
	s.mu.Unlock()
	defer s.forget(repoID, ch)
	state, err := s.store.SyncState(ctx, repoID)
	if err != nil {
		return err
	}
	if state.Served >= generation {
		return nil
	}
	for {
		select {
		case f := <-ch:
			// A run that failed before it knew its generation failed for whoever
			// waits: the store does not say any more whom it was for.
			if f.generation >= generation || f.generation == 0 && f.err != nil {
				return f.err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *Service) forget(repoID string, ch chan finished) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.waiters[repoID]
	for i, c := range all {
		if c == ch {
			all = append(all[:i:i], all[i+1:]...)
			break
		}
	}
	if len(all) == 0 {
		delete(s.waiters, repoID)
		return
	}
	s.waiters[repoID] = all
}

// Progress returns the progress of the running sync, if one runs.
func (s *Service) Progress(repoID string) (core.Progress, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flights[repoID]
	if f == nil || f.look {
		return core.Progress{}, false
	}
	return f.progress, true
}

// Running returns the progress of every sync that runs, by repository id.
func (s *Service) Running() map[string]core.Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]core.Progress, len(s.flights))
	for id, f := range s.flights {
		if !f.look {
			all[id] = f.progress
		}
	}
	return all
}

func (s *Service) setProgress(repoID string, change func(p *core.Progress)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[repoID]; f != nil {
		change(&f.progress)
	}
}

// Run schedules syncs and looks until ctx ends, then waits for the running ones,
// which get the same context and so end soon; what they had fetched stays.
func (s *Service) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	s.setRunning(ctx)
	defer func() {
		s.setRunning(nil) // none begins to wait any more
		s.waits.Wait()
	}()
	running.Go(func() { s.poll(ctx) })
	for {
		next, err := s.dispatch(ctx, &running)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			s.log.Error("cannot look for due syncs; trying again", "error", err)
			next = s.clock.Now().Add(5 * time.Second)
		}
		if !s.sleep(ctx, next, s.wake) {
			return nil
		}
	}
}

func (s *Service) setRunning(ctx context.Context) {
	s.mu.Lock()
	s.running = ctx
	s.mu.Unlock()
}

// sleep waits until a time, zero is never, or until it is woken. It is false
// when ctx has ended.
func (s *Service) sleep(ctx context.Context, until time.Time, wake <-chan struct{}) bool {
	var timer <-chan time.Time
	if !until.IsZero() {
		d := until.Sub(s.clock.Now())
		if d <= 0 {
			return ctx.Err() == nil // it came while we were busy
		}
		timer = s.clock.After(d)
		if !s.clock.Now().Before(until) {
			return ctx.Err() == nil // the clock was set meanwhile, and the timer counts from there
		}
	}
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-timer:
	}
	return true
}

// maxDue is how many due rows one look takes; more are seen at the next.
const maxDue = 10_000

// lookAgain is when what was due and could not start is looked at again, if the end
// of what was in its way has not made that sooner.
const lookAgain = 5 * time.Second

// dispatch starts what is due and may start, and returns when to look again.
func (s *Service) dispatch(ctx context.Context, running *sync.WaitGroup) (time.Time, error) {
	now := s.clock.Now()
	due, err := s.store.DueSyncs(ctx, now, maxDue)
	if err != nil {
		return time.Time{}, err
	}
	start := func(r core.Repository) {
		running.Go(func() {
			s.fly(ctx, s.linked(ctx, r))
			s.poke()
			s.pokePolls()
		})
	}
	s.setCrowded(false)
	waits := false
	paused := map[string]time.Time{}
	for _, id := range due {
		if s.full() {
			waits = true
			break // a finished run wakes us
		}
		if s.awaited(id) {
			waits = true
			continue // its end wakes us, and it is due again then
		}
		r, err := s.store.RepositoryByID(ctx, id)
		if core.KindOf(err) == core.KindNotFound {
			continue
		}
		if err != nil {
			return time.Time{}, err
		}
		if r.Upstream == nil {
			continue
		}
		if until := s.budget.pausedUntil(r.Upstream.Host); !until.IsZero() {
			paused[id] = until
		} else if s.takeOff(r, false) {
			start(r)
		} else {
			waits = true
		}
	}
	asked, err := s.postpone(ctx, paused)
	if err != nil {
		return time.Time{}, err
	}
	for _, id := range asked {
		if r, err := s.store.RepositoryByID(ctx, id); err == nil && r.Upstream != nil && !s.full() && s.takeOff(r, true) {
			start(r)
		}
	}
	next, err := s.store.NextSyncAt(ctx, now)
	if again := now.Add(lookAgain); err == nil && waits && (next.IsZero() || again.Before(next)) {
		next = again
	}
	return next, err
}

// full reports whether all places for runs are taken.
func (s *Service) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.flights)-s.looks >= s.o.Concurrency
}

func (s *Service) flying(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flights[id] != nil
}

// awaited is flying, and notes that a run waits for the end of that.
func (s *Service) awaited(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flights[id]
	s.crowded = s.crowded || f != nil
	return f != nil
}

// setCrowded notes whether a run waits for the end of a look: for its place at
// the host, or for its repository.
func (s *Service) setCrowded(crowded bool) {
	s.mu.Lock()
	s.crowded = crowded
	s.mu.Unlock()
}

// takeOff registers the flight of a run, unless its host has enough of them: one
// slow host must not take every place.
func (s *Service) takeOff(r core.Repository, person bool) bool {
	host := r.Upstream.Host
	p := divide(s.up.Limit(*r.Upstream), s.o)
	if !s.budget.enterRun(host, p, person) {
		s.setCrowded(true)
		// Once more: what ended in between did not know that anybody waits.
		if !s.budget.enterRun(host, p, person) {
			return false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.halted[r.ID] > 0 {
		s.budget.leave(host, false)
		return false // the end of that wakes us
	}
	if s.flights[r.ID] != nil { // a look has come first
		s.budget.leave(host, false)
		s.crowded = true
		return false
	}
	s.flights[r.ID] = &flight{
		host: host, landed: make(chan struct{}), progress: core.Progress{Phase: firstPhase, StartedAt: core.Timestamp(s.clock.Now())},
	}
	return true
}

// onBoard gives the flight what ends it, and reports whether it may go on.
func (s *Service) onBoard(repoID string, cancel context.CancelFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flights[repoID]
	f.cancel = cancel
	return !f.grounded
}

// Ground ends the running sync of a repository, if one runs, and waits until
// it has: before the repository is detached or deleted.
func (s *Service) Ground(ctx context.Context, repoID string) error {
	s.mu.Lock()
	f := s.flights[repoID]
	delete(s.webhooks, repoID)
	delete(s.doubts, repoID)
	delete(s.checks, repoID)
	delete(s.identities, repoID)
	if f == nil {
		s.mu.Unlock()
		return nil
	}
	f.grounded = true
	if f.cancel != nil {
		f.cancel()
	}
	s.mu.Unlock()
	select {
	case <-f.landed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// land ends a flight and tells the waiters.
func (s *Service) land(repoID string, f finished) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fl := s.flights[repoID]; fl != nil {
		s.budget.leave(fl.host, fl.look)
		if fl.look {
			s.looks--
		}
		delete(s.flights, repoID)
		close(fl.landed)
	}
	for _, ch := range s.waiters[repoID] {
		select {
		case ch <- f:
		default: // a waiter that does not listen has its context to end it
		}
	}
}

// Fresh makes sure, within the context's deadline, that the local copy shows
// what the upstream has: before a push is told what to negotiate against, and
// for reads that demand it. It costs one listing; only a difference causes a run.
// When it returns without an error, ObservedAt is not before the call, unless
// nothing but refs differs that write sessions here have in their hands. An error
// means that the copy may be behind.
func (s *Service) Fresh(ctx context.Context, r core.Repository) error {
	watch := s.repos.Watch(r.ID) // before the state is read; see fly
	defer watch.Close()
	state, err := s.store.SyncState(ctx, r.ID)
	if err != nil {
		return err
	}
	if !state.Ready() {
		return nil // nothing to be behind of
	}
	if until := s.budget.pausedUntil(r.Upstream.Host); !until.IsZero() {
		return &core.Error{
			Kind: core.KindRateLimited, Op: "look at the upstream", Message: "the host " + r.Upstream.Host + " is left alone for a while: it limits or cannot be reached",
			RetryAfter: until.Sub(s.clock.Now()),
		}
	}
	if state.UpstreamState.Gone() {
		// Whatever answers there now is not what was followed.
		return core.Errorf(core.KindUpstreamUnavailable, "%s", state.LastError)
	}
	l := s.ask(ctx, r, "")
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
			if _, err := s.Request(ctx, r.ID, TriggerPush, ""); err != nil {
				return err
			}
		}
		_, err = s.writeLooks(ctx, []observation{{repo: r, at: l.at, pollAt: state.PollAt}})
		return err
	}
	gen, err := s.Request(ctx, r.ID, TriggerPush, "")
	if err != nil {
		return err
	}
	return s.Wait(ctx, r.ID, gen)
}

// HostRests returns until when a host is left alone, because it limits or cannot
// be reached; zero: it is not.
func (s *Service) HostRests(host string) time.Time { return s.budget.pausedUntil(host) }

// errShutdown is why a flight ends when the server stops.
var errShutdown = errors.New("the server is shutting down")
