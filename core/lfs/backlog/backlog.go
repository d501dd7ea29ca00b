// Package backlog fetches the LFS objects of mirrors whose settings say [core.LFSMirror]:
// it looks for pointers in what changed refs brought, writes down which objects they name,
// and has those here, some at a time, until nothing is pending.
//
// Everything that counts is in the store. A scan begins at the tips that no scan has seen,
// and these are recorded when all their pointers are: a crash repeats a scan and loses
// none. An object stays pending until it is here. What fails is tried again by the class of
// the failure, as syncs are, also what the host says that it does not have.
//
// A repository with another mode costs a look into a map when its refs change.
package backlog

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/lfs/scan"
	"github.com/headwater-git/headwater/core/loop"
)

const (
	// places is how many repositories are worked on at a time; what each of their hosts
	// is asked for at once, core/lfs/remote bounds.
	places = 4
	// parallel is how many objects of a repository are fetched at a time.
	parallel = 8
	// batch is how many objects a host is asked for at once; Git LFS asks for as many.
	batch = 100
	// turn is how many batches are fetched before another repository has its turn.
	turn = 10
	// page is how many repositories are listed at once.
	page = 500
	// errorPause is waited when the store or git fails.
	errorPause = time.Minute
)

// Store is what this package needs of [core.Store].
type Store interface {
	core.Transactor
	core.LFSMirrorStore
	Settings(ctx context.Context, repoID string) (core.Settings, error)
	RepositoryByID(ctx context.Context, id string) (core.Repository, error)
	HasLFSObjects(ctx context.Context, repoID string, oids []string) ([]core.LFSObject, error)
	HeldRewrites(ctx context.Context, repoID string) ([]core.Rewrite, error)
}

// Objects fetches objects; *lfs.Service does.
type Objects interface {
	Gather(ctx context.Context, repo core.Repository, objects []lfs.Pointer, parallel int, done func(lfs.Pointer, error)) error
}

var _ Objects = (*lfs.Service)(nil)

// Hosts knows which hosts are left alone; *schedule.Service does.
type Hosts interface {
	// PausedUntil is zero if the host is not left alone.
	PausedUntil(host string) time.Time
}

// Options configures [New]. All is required.
type Options struct {
	Store   Store
	Objects Objects
	Scanner *scan.Scanner
	Git     *git.Git
	Path    func(repoID string) string // of its folder
	Hosts   Hosts
	// Arrived is called when refs that awaited objects may follow.
	Arrived func(ctx context.Context, repoID string)
	Clock   core.Clock
	Logger  hclog.Logger
}

// Service fetches what mirrors lack. It is safe for concurrent use.
type Service struct {
	o    Options
	wake loop.Signal

	mu      sync.Mutex
	mirrors map[string]*mirror // by repository id
}

// mirror is a repository whose objects are fetched.
type mirror struct {
	at      time.Time // when it is worked on next; zero: not by itself
	now     bool      // at once
	hurry   bool      // with all that failed
	running bool
}

// New returns a service that does nothing before [Service.Run].
func New(o Options) *Service {
	return &Service{o: o, wake: loop.NewSignal(), mirrors: map[string]*mirror{}}
}

// Applied says that refs of a repository have moved. It does not block.
func (s *Service) Applied(repoID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mirrors[repoID]; m != nil {
		m.now = true
		s.wake.Set()
	}
}

// Changed says that the settings or the link of a repository may be others than they were:
// what they want is looked up.
func (s *Service) Changed(repoID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mirrors[repoID] == nil {
		s.mirrors[repoID] = &mirror{}
	}
	s.mirrors[repoID].now = true
	s.wake.Set()
}

// Mirrors reports whether the objects of a repository are fetched, as far as the service
// knows without a look into the store.
func (s *Service) Mirrors(repoID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mirrors[repoID] != nil
}

// Hurry has all that a repository lacks tried again at once, also what failed before. It
// does not block.
func (s *Service) Hurry(repoID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mirrors[repoID]; m != nil {
		m.now, m.hurry = true, true
		s.wake.Set()
	}
}

// takeHurry has what failed tried again, if the repository was hurried since it last did.
func (s *Service) takeHurry(ctx context.Context, repoID string) error {
	s.mu.Lock()
	m := s.mirrors[repoID]
	hurry := m != nil && m.hurry
	s.mu.Unlock()
	if !hurry {
		return nil
	}
	if err := s.o.Store.HurryLFSPending(ctx, repoID); err != nil {
		return err // and is still to be done
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m.hurry = false // whoever asked meanwhile has it, too: nothing has failed since
	return nil
}

// Run fetches until ctx ends and what is under way has stopped.
func (s *Service) Run(ctx context.Context) error {
	if err := s.load(ctx); err != nil {
		return err
	}
	var working sync.WaitGroup
	defer working.Wait()
	for {
		next := s.start(func(repoID string) {
			working.Go(func() {
				at := s.Work(ctx, repoID)
				s.ended(repoID, at)
			})
		})
		if !loop.SleepUntil(ctx, s.o.Clock, next, s.wake) {
			return nil
		}
	}
}

// load has every mirror looked at: refs may have moved before the last stop.
func (s *Service) load(ctx context.Context) error {
	for after := ""; ; {
		ids, err := s.o.Store.LFSMirrors(ctx, after, page)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		for _, id := range ids {
			s.Changed(id)
		}
		if len(ids) < page {
			return nil
		}
		after = ids[len(ids)-1]
	}
}

// start starts the repositories that are due and have a place, the longest due first, and
// returns when the next one is; zero: nobody knows.
func (s *Service) start(run func(repoID string)) (next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := places
	var due []string
	now := s.o.Clock.Now()
	for id, m := range s.mirrors {
		switch {
		case m.running:
			free--
		case m.now, !m.at.IsZero() && !m.at.After(now):
			due = append(due, id)
		default:
			next = core.Sooner(next, m.at)
		}
	}
	slices.SortFunc(due, func(a, b string) int {
		if c := s.mirrors[a].at.Compare(s.mirrors[b].at); c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	for _, id := range due[:max(0, min(free, len(due)))] {
		m := s.mirrors[id]
		m.running, m.now, m.at = true, false, time.Time{}
		run(id)
	}
	return next // who has no place is started when one is given back
}

// ended gives the place of a repository back, and forgets one that is no mirror of objects.
func (s *Service) ended(repoID string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.mirrors[repoID]
	m.running, m.at = false, at
	if at.Equal(never) && !m.now {
		delete(s.mirrors, repoID)
	}
	s.wake.Set()
}

// never is when a repository is worked on that is no mirror of objects.
var never = time.Unix(1<<40, 0)

// mirrored returns the repository if its objects are to be fetched.
func (s *Service) mirrored(ctx context.Context, repoID string) (core.Repository, bool, error) {
	r, err := s.o.Store.RepositoryByID(ctx, repoID)
	if core.KindOf(err) == core.KindNotFound {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	settings, err := s.o.Store.Settings(ctx, repoID)
	if err != nil {
		return r, false, err
	}
	return r, settings.LFS == core.LFSMirror && r.Upstream != nil && !r.Deleted(), nil
}

// Work looks for pointers that are new in a repository, and fetches what is due of their
// objects. It returns when to work on it again; zero: when something changes.
func (s *Service) Work(ctx context.Context, repoID string) time.Time {
	at, err := s.work(ctx, repoID)
	switch {
	case ctx.Err() != nil:
		return time.Time{}
	case err != nil:
		s.o.Logger.Error("the LFS objects of a mirror could not be looked after", "repo_id", repoID, "error", err)
		return s.o.Clock.Now().Add(errorPause)
	}
	return at
}

func (s *Service) work(ctx context.Context, repoID string) (time.Time, error) {
	r, ours, err := s.mirrored(ctx, repoID)
	if err != nil {
		return time.Time{}, err
	}
	if !ours {
		return never, s.o.Store.ClearLFSMirror(ctx, repoID)
	}
	if r.Paused() {
		return time.Time{}, nil
	}
	if err := s.takeHurry(ctx, repoID); err != nil {
		return time.Time{}, err
	}
	if err := s.scan(ctx, r); err != nil {
		return time.Time{}, err
	}
	for range turn {
		if until := s.o.Hosts.PausedUntil(r.Upstream.Host); !until.IsZero() {
			return until, nil
		}
		due, err := s.o.Store.DueLFSPending(ctx, repoID, s.o.Clock.Now(), batch)
		if err != nil {
			return time.Time{}, err
		}
		if len(due) == 0 {
			if err := s.release(ctx, r); err != nil {
				return time.Time{}, err
			}
			return s.rest(ctx, r)
		}
		if err := s.fetch(ctx, r, due); err != nil || ctx.Err() != nil {
			return time.Time{}, err
		}
	}
	return s.o.Clock.Now(), s.release(ctx, r) // others first
}

// rest ends the round if nothing waits any more, and returns when something is due.
func (s *Service) rest(ctx context.Context, r core.Repository) (time.Time, error) {
	b, err := s.o.Store.LFSBacklog(ctx, r.ID)
	if err != nil {
		return time.Time{}, err
	}
	if b.Objects == 0 && !b.RoundAt.IsZero() {
		if err := s.endRound(ctx, r, b); err != nil {
			return time.Time{}, err
		}
	}
	return b.NextAt, nil
}

// scan writes down the objects that pointers in new commits name.
func (s *Service) scan(ctx context.Context, r core.Repository) error {
	dir := s.o.Path(r.ID)
	refs, err := s.o.Git.RefMap(ctx, dir, "refs/")
	if err != nil {
		return err
	}
	now := map[core.ObjectID]bool{}
	for name, tip := range refs {
		// Those of the upstream, and what is kept from following it.
		if strings.HasPrefix(name, core.TrackingPrefix) || !core.OursAlone(core.Default, name) {
			now[tip] = true
		}
	}
	seen, err := s.o.Store.LFSTips(ctx, r.ID)
	if err != nil {
		return err
	}
	var gone []core.ObjectID
	come := maps.Clone(now)
	for _, tip := range seen {
		if !now[tip] {
			gone = append(gone, tip)
		}
		delete(come, tip)
	}
	if len(come)+len(gone) == 0 {
		return nil
	}
	tips := slices.Sorted(maps.Keys(come))
	total := 0
	_, err = s.o.Scanner.New(ctx, dir, tips, seen, func(found []scan.Found) error {
		n, err := s.o.Store.AddLFSPending(ctx, r.ID, pendingOf(found), s.o.Clock.Now())
		total += n
		return err
	})
	if err != nil {
		return err
	}
	if total > 0 {
		s.o.Logger.Info("LFS objects are to be fetched", "repo_id", r.ID, "objects", total)
	}
	return s.o.Store.EndLFSScan(ctx, r.ID, tips, gone, s.o.Clock.Now())
}

// pendingOf returns the objects of pointers; an empty one is nothing to fetch.
func pendingOf(found []scan.Found) []core.LFSPending {
	var all []core.LFSPending
	for _, f := range found {
		if f.Size > 0 {
			all = append(all, core.LFSPending{LFSObject: core.LFSObject{OID: string(f.OID), Size: f.Size}, Path: f.Path})
		}
	}
	return all
}
