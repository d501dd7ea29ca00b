package push

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/core/loop"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/trace"
	"github.com/headwater-git/headwater/providers"
)

// Upstreams is what a write session needs of core/upstream.
type Upstreams interface {
	Manifest(ctx context.Context, up core.Upstream) (providers.Manifest, error)
	Do(ctx context.Context, repo core.Repository, op providers.Operation, f func(r git.Remote) error) error
	Refs(ctx context.Context, repo core.Repository, prefixes []string) (discovery.Advertisement, error)
	Push(ctx context.Context, r git.Remote, p discovery.PushRequest) (lines []git.PushLine, sent bool, err error)
}

// Store is what this package needs of [core.Store].
type Store interface {
	RepositoryByID(ctx context.Context, id string) (core.Repository, error)
	DeletedRepositoryByID(ctx context.Context, id string) (core.Repository, error)
	SyncState(ctx context.Context, repoID string) (core.SyncState, error)
	CredentialByRepo(ctx context.Context, repoID string) (core.Credential, error)
	OpenJournals(ctx context.Context) ([]core.JournalEntry, error)
	HeldRewrites(ctx context.Context, repoID string) ([]core.Rewrite, error)
	Settings(ctx context.Context, repoID string) (core.Settings, error)
	LFSLocks(ctx context.Context, f core.LFSLockFilter) ([]core.LFSLock, error)
	AddAudit(ctx context.Context, e core.AuditEntry) error
}

// Options configures [New].
type Options struct {
	Git       *git.Git
	Repos     *repo.Repos
	Store     Store
	Upstreams Upstreams
	Clock     core.Clock
	Logger    hclog.Logger
	HooksDir  string // where the proc-receive hook is installed
	// WantSync asks for a sync of the repository: its local copy is behind.
	WantSync func(ctx context.Context, repoID string)
	// Confirm makes sure that the upstream is still the repository that is
	// followed, and returns it as it is linked; an error is the refusal of the write,
	// KindConflict if it was linked to another upstream. Nil: it is not asked.
	Confirm func(ctx context.Context, r core.Repository) (core.Repository, error)
	// Follow asks the host about the upstream after it refused a write with that
	// failure, and returns the repository as it is linked then, and what the host said
	// of it if that explains the failure. Nil: it is not asked.
	Follow func(ctx context.Context, r core.Repository, failure error) (now core.Repository, refusal error)
	// Accepted notes that the upstream took a write. Nil: nobody does.
	Accepted func(ctx context.Context, r core.Repository)

	// Room is an error if nothing may be added to the repository: the refusal of a push
	// that does. Nil: there always is room.
	Room func(ctx context.Context, r core.Repository) error

	LockTimeout  time.Duration // waiting for another writer; 0 is 30 s
	PushTimeout  time.Duration // the whole upstream leg; 0 is 30 min (a stall ends it sooner)
	MaxInputSize int64         // bytes of one pushed pack; 0 is no limit
	// Finished is called after every write session, for whoever counts; it must not
	// block. nil: nobody does.
	Finished func(Finished)
	// ManyRefs is from how many refs on git send-pack takes a push upstream, since
	// git push would compare each with each; 0 is 64.
	ManyRefs int
	// SettlePeriod is over how long listings of the upstream must agree on an old
	// id before an update without an answer counts as not taken; 0 is 2 min.
	SettlePeriod time.Duration
}

// Service runs write sessions. It is safe for concurrent use.
type Service struct {
	git      *git.Git
	repos    *repo.Repos
	store    Store
	up       Upstreams
	clock    core.Clock
	log      hclog.Logger
	hooks    string
	wantSync func(context.Context, string)
	o        Options

	settling sync.Mutex  // one round at a time
	woken    loop.Signal // has Run look

	mu       sync.Mutex
	open     []*unsettled // oldest first
	claims   map[claimKey]*claim
	surveyed bool
}

// New installs the hook and returns the service, which from then on settles what
// any transaction of the repositories leaves open.
func New(o Options) (*Service, error) {
	if o.LockTimeout == 0 {
		o.LockTimeout = 30 * time.Second
	}
	if o.PushTimeout == 0 {
		o.PushTimeout = 30 * time.Minute
	}
	if o.SettlePeriod == 0 {
		o.SettlePeriod = 2 * time.Minute
	}
	if o.ManyRefs == 0 {
		o.ManyRefs = 64
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	// Git runs the hook from inside the repositories.
	hooks, err := filepath.Abs(o.HooksDir)
	if err != nil {
		return nil, fmt.Errorf("locate the git hook: %w", err)
	}
	o.HooksDir = hooks
	if err := installHook(o.HooksDir); err != nil {
		return nil, err
	}
	s := &Service{
		git: o.Git, repos: o.Repos, store: o.Store, up: o.Upstreams, clock: o.Clock,
		log: o.Logger.Named("push"), hooks: o.HooksDir, wantSync: o.WantSync, o: o,
		woken: loop.NewSignal(), claims: map[claimKey]*claim{},
	}
	s.repos.OnLeft(s.adopt)
	return s, nil
}

// constraints returns what the repository's refs are subject to. A local repository
// has none: the filter is about what is exchanged with an upstream.
func (s *Service) constraints(ctx context.Context, r core.Repository) (refConstraints, error) {
	if r.Upstream == nil {
		return refConstraints{}, nil
	}
	m, err := s.up.Manifest(ctx, *r.Upstream)
	if err != nil {
		return refConstraints{}, err
	}
	rules, err := s.repos.Rules(ctx, r)
	if err != nil {
		return refConstraints{}, err
	}
	return refConstraints{manifest: &m, rules: rules, paused: r.Paused()}, nil
}

// Check returns what [Service.Write] would say of the updates for their names
// alone, without locks, git and network: for callers that would else upload or build
// something that is refused.
func (s *Service) Check(ctx context.Context, w Session) ([]Result, error) {
	b, err := s.named(ctx, w)
	if err != nil {
		return nil, err
	}
	return b.list, nil
}

// named begins results with the checks of the names of the refs.
func (s *Service) named(ctx context.Context, w Session) (*results, error) {
	c, err := s.constraints(ctx, w.Repo)
	if err != nil {
		return nil, err
	}
	b := newResults(w)
	for i, u := range w.Updates {
		if r, ok := w.checkName(u, c); !ok && b.open[i] {
			b.refuse(i, r.Kind, r.Reason)
		}
	}
	return b, nil
}

// Write carries the session out and returns one result per update, in order. An
// error means that nothing moved, nothing was journaled and no result was reached:
// the store or the provider failed, or ctx ended before the journal entry was
// written. After that there are results only. One that says "outcome
// unknown" may still come true: its ref stays locked until Run has found out.
func (s *Service) Write(ctx context.Context, w Session) ([]Result, error) {
	b := newResults(w)
	ctx, span := trace.Start(ctx, "push", s.clock.Now())
	b.watch = newStopwatch(ctx, s.clock.Now)
	err := limit.Take(ctx, w.Repo.ID)
	if err == nil {
		err = s.writing(ctx, w, b)
	}
	if !b.journaled {
		s.audit(ctx, w, s.entry(b, err))
	}
	if w.Audited != nil {
		w.Audited()
	}
	f := b.finished(err)
	span.Set("headwater.outcome", string(f.Ending))
	span.Set("headwater.repository_id", w.Repo.ID)
	span.End(s.clock.Now(), err)
	if s.o.Finished != nil {
		s.o.Finished(f)
	}
	if err != nil {
		return nil, err
	}
	s.log.Info("write session finished", "repo_id", w.Repo.ID, "source", w.Source, "actor", w.Actor.Subject, "namespace", w.Namespace,
		"refs", len(w.Updates), "refused", f.Refused, "duration", f.Took)
	return b.list, nil
}

// writing is write among the writers of the repository. It takes its place before
// it locks refs: a purge that waits for another session must not wait for this one.
func (s *Service) writing(ctx context.Context, w Session, b *results) error {
	ctx, done, err := s.repos.Writing(ctx, w.Repo.ID)
	if err != nil {
		return err
	}
	defer done()
	return s.write(ctx, w, b)
}

// write carries the session out and leaves its results in b.
func (s *Service) write(ctx context.Context, w Session, b *results) error {
	c, err := s.constraints(ctx, w.Repo)
	if err != nil {
		return err
	}
	b.owns = c.rules.Owns
	for i, u := range w.Updates {
		if r, ok := w.checkName(u, c); !ok {
			b.refuse(i, r.Kind, r.Reason) // its own reason, also where the refusal of another one refused it before
		}
	}
	// Before the locks, since the host may take its time.
	if w, err = s.confirm(ctx, w, b); err != nil || len(b.open) == 0 {
		return err
	}
	if err := s.review(ctx, w, b); err != nil || len(b.open) == 0 {
		return err
	}
	return s.locked(ctx, w, b)
}

// locked runs the part of a session that holds the ref locks.
func (s *Service) locked(ctx context.Context, w Session, b *results) error {
	s.refuseUnsettled(w, b)
	var names []string
	for _, u := range b.updates() {
		names = append(names, w.Namespace.Path(u.Name))
	}
	if len(names) == 0 {
		return nil
	}
	quota, err := s.quota(ctx, w, b)
	if err != nil {
		return err
	}
	if quota > 0 {
		names = append(names, quotaLock)
	}
	b.watch.lap(PhaseCheck)
	lockCtx, cancel := context.WithTimeout(ctx, s.o.LockTimeout)
	held, err := s.repos.LockRefs(lockCtx, w.Repo.ID, names, func() { w.notify("waiting for another update of the same refs") })
	cancel()
	b.watch.lap(PhaseLock)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		b.refuseAll(core.KindLocked, reasonLocked)
		return nil
	}
	defer held.Release()
	s.refuseUnsettled(w, b) // since it began to wait
	if w, err = s.current(ctx, w, b); err != nil || len(b.open) == 0 {
		return err
	}
	if quota > 0 {
		if err := s.checkQuota(ctx, w, b, quota); err != nil {
			return err
		}
	}
	if err := s.checkForce(ctx, w, b); err != nil {
		return err
	}
	if err := s.checkGone(ctx, w, b); err != nil {
		return err
	}
	if err := s.checkLocked(ctx, w, b); err != nil || len(b.open) == 0 {
		return err
	}
	upstream := s.upstreamLeg(w, b)
	// A single local update needs no preflight: applying it is the check.
	if len(upstream) > 0 || len(b.open) > 1 {
		if err := s.preflight(ctx, w, b); err != nil {
			return err
		}
	}
	// Costs nothing unless the locks took so long that the answer is old.
	if w, err = s.confirm(ctx, w, b); err != nil || len(b.open) == 0 {
		return err
	}
	return s.commit(ctx, w, b, held)
}

// refuseUnsettled refuses updates of refs whose last update is not settled: to
// waiting for the lock would not help.
func (s *Service) refuseUnsettled(w Session, b *results) {
	for _, i := range b.pending() {
		if b.open[i] && s.repos.Unsettled(w.Repo.ID, w.Namespace.Path(w.Updates[i].Name)) {
			b.refuse(i, core.KindLocked, reasonUnsettled)
		}
	}
}

// upstreamLeg returns the open indices whose ref the upstream owns.
func (s *Service) upstreamLeg(w Session, b *results) []int {
	if w.Repo.Upstream == nil {
		return nil
	}
	var idx []int
	for _, i := range b.pending() {
		if w.Namespace == core.Default && (b.owns(w.Updates[i].Name) || forReview(w.Updates[i].Name)) {
			idx = append(idx, i)
		}
	}
	return idx
}

// find returns the open index of the ref with that name on disk, or -1.
func (b *results) find(ns core.Namespace, ref string) int {
	for _, i := range b.pending() {
		if ns.Path(b.session.Updates[i].Name) == ref {
			return i
		}
	}
	return -1
}

// refuseRef refuses an update for git's reason. A stale one may mean that the
// upstream moved and this copy has not looked yet.
func (s *Service) refuseRef(ctx context.Context, w Session, b *results, i int, re *git.RefError) {
	if re.Kind == git.RefStale && w.Repo.Upstream != nil {
		s.wantSync(ctx, w.Repo.ID)
	}
	b.refuse(i, re.Kind.Kind(), re.Kind.Reason())
}
