package schedule

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
)

// Kind is what is due for a repository.
type Kind int

// The kinds of work.
const (
	Run  Kind = iota // list, fetch and apply
	Look             // list and compare
)

func (k Kind) String() string {
	if k == Look {
		return "look"
	}
	return "run"
}

// Item is work that is due.
type Item struct {
	RepoID    string
	Instance  string // provider instance of the upstream
	Host      string // host of the upstream
	Kind      Kind
	NotBefore time.Time // since when it is due; zero: it was requested
	// UserInitiated items may pass the pause of their host, one at a time.
	UserInitiated bool
}

// Result is how an item ended.
type Result struct {
	// Generation is what a run served, or tried to serve; 0: none, or it failed
	// before it knew.
	Generation int64
	Err        error
	// Unrecorded is set by a look whose row is written later, together with
	// others. The repository is not looked at again before [Service.Recorded].
	Unrecorded bool
}

// Worker does the work that the scheduler admits. It reads the repository's link
// itself: once its method has been called, a change of the link waits for the
// method's return. See [Service.Halt].
type Worker interface {
	Run(ctx context.Context, item Item) Result
	// Look looks at an upstream. If it differs from the copy, promote turns the
	// look into a run, if there is a place for one; without a place the worker
	// leaves the run to a request.
	Look(ctx context.Context, item Item, promote func() bool) Result
}

// Store is what the scheduler needs of the store.
type Store interface {
	core.SyncStore
	core.PollStore
	core.SettingsStore
	RepositoryByID(ctx context.Context, id string) (core.Repository, error)
	Expectations(ctx context.Context, repoID string) ([]core.Expectation, error)
	Tx(ctx context.Context, f func(q core.Queries) error) error
}

// Upstreams is what the scheduler needs to know of upstreams.
type Upstreams interface {
	// Limit is how many contacts the operator allows at once at the host; 0: the
	// defaults apply.
	Limit(up core.Upstream) int
	// Poll is how often upstreams are looked at, in the words of [core.Settings],
	// unless the repository's settings say otherwise.
	Poll(up core.Upstream) string
}

// Options configures [New].
type Options struct {
	Store     Store
	Upstreams Upstreams
	Clock     core.Clock
	Logger    hclog.Logger

	Runs       int           // at once; 0 is 8
	HostRuns   int           // at once at one host; 0 is 3
	Looks      int           // at once; 0 is 16
	RunTimeout time.Duration // limit of one item; 0 is 6 h (the worker ends stalled ones sooner)
}

// Service is the scheduler. It is safe for concurrent use.
type Service struct {
	*agenda
	store Store
	up    Upstreams
	log   hclog.Logger
}

// New returns a scheduler that starts nothing before [Service.Run].
func New(o Options) *Service {
	if o.Runs == 0 {
		o.Runs = 8
	}
	if o.HostRuns == 0 {
		o.HostRuns = 3
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
	return &Service{agenda: newAgenda(o), store: o.Store, up: o.Upstreams, log: o.Logger.Named("schedule")}
}

// Request asks for a run and returns its generation. With a ref (a branch or tag,
// short or full) the run is limited to that ref. Errors: KindNotFound if the
// repository is not synced.
func (s *Service) Request(ctx context.Context, repoID, trigger, ref string) (int64, error) {
	gen, err := s.store.RequestSync(ctx, repoID, trigger, ref)
	if err != nil {
		return 0, err
	}
	s.readSoon(repoID)
	return gen, nil
}

// storePause is how long the scheduler waits when the store fails.
const storePause = 5 * time.Second

// Run admits work until ctx ends, then waits for what is running: it gets the same
// context and so ends soon.
func (s *Service) Run(ctx context.Context, w Worker) error {
	var work sync.WaitGroup
	defer work.Wait()
	if err := s.spread(ctx); err != nil && ctx.Err() == nil {
		s.log.Error("some repositories are not polled before the next start", "error", err)
	}
	now := s.clock.Now()
	s.Notify(Run, now)
	s.Notify(Look, now)
	var read rows
	for ctx.Err() == nil {
		d := s.admit(ctx, read)
		for _, r := range d.start {
			work.Go(func() { s.execute(r, w) })
		}
		var err error
		if read, err = s.follow(ctx, d); err != nil && ctx.Err() == nil {
			s.log.Error("cannot read what is due; trying again", "error", err)
		}
		if err != nil || d.reads() {
			continue // admit takes in what was read, or when to read again
		}
		if !loop.SleepUntil(ctx, s.clock, d.next, s.wake) {
			return nil
		}
	}
	return nil
}

// execute does an admitted item.
func (s *Service) execute(r *running, w Worker) {
	var result Result
	if r.Kind == Run {
		result = w.Run(r.ctx, r.Item)
	} else {
		result = w.Look(r.ctx, r.Item, func() bool { return s.promote(r) })
	}
	r.cancel()
	s.release(r, result)
}

// follow does what a decision asks of the store. Where that fails, the rows are
// read again after a pause.
func (s *Service) follow(ctx context.Context, d decision) (rows, error) {
	err := s.postpone(ctx, d.postpone)
	read := rows{}
	if err == nil {
		read, err = s.scan(ctx, d)
	}
	if err != nil {
		again := s.clock.Now().Add(storePause)
		return rows{next: [2]time.Time{again, again}}, err
	}
	return read, nil
}
