package reach

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/loop"
)

// Store is what this package needs of [core.Store].
type Store interface {
	RepositoryByID(ctx context.Context, id string) (core.Repository, error)
	Settings(ctx context.Context, repoID string) (core.Settings, error)
	Forgotten(ctx context.Context, repoID string, ids []core.ObjectID) ([]core.ObjectID, error)
	AnyForgotten(ctx context.Context, repoID string) (bool, error)
}

// Options configures [New]. All but Logger and Wait are required.
type Options struct {
	Git    *git.Git
	Path   func(repoID string) string // folder of a repository
	Store  Store
	Logger hclog.Logger
	Wait   time.Duration // for a set to be brought forward; 0 is 30 s
}

// Service answers for the objects of all repositories. It is safe for concurrent use.
type Service struct {
	o   Options
	log hclog.Logger

	mu     sync.Mutex
	sets   map[string]*set // by repository id
	queue  []string
	queued map[string]bool
	wake   loop.Signal
}

// New returns a service.
func New(o Options) *Service {
	if o.Wait == 0 {
		o.Wait = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return &Service{o: o, log: o.Logger.Named("reach"), sets: map[string]*set{}, queued: map[string]bool{}, wake: loop.NewSignal()}
}

// Refused returns which of the ids a caller may not name: in a repository with
// strict_wants those that no ref leads to, in any other the forgotten ones among
// them. It costs two rows where there is nothing to refuse. Errors: KindConflict if
// the set of what refs lead to is still being made.
func (s *Service) Refused(ctx context.Context, repo core.Repository, ids []core.ObjectID) ([]core.ObjectID, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	settings, err := s.o.Store.Settings(ctx, repo.ID)
	if err != nil {
		return nil, err
	}
	if !strict(settings) {
		if any, err := s.o.Store.AnyForgotten(ctx, repo.ID); err != nil || !any {
			return nil, err
		}
		if ids, err = s.o.Store.Forgotten(ctx, repo.ID, ids); err != nil || len(ids) == 0 {
			return nil, err
		}
	}
	return s.unreached(ctx, repo.ID, ids)
}

// Strict reports whether the repository serves only what refs lead to.
func (s *Service) Strict(ctx context.Context, repo core.Repository) (bool, error) {
	settings, err := s.o.Store.Settings(ctx, repo.ID)
	return strict(settings), err
}

// strict reports whether objects are served only if a ref leads to them. Whoever reads
// without a token sees what is public at the upstream, and that is its refs.
func strict(s core.Settings) bool { return s.StrictWants || s.PublicRead }

// unreached returns those of the ids that no ref leads to.
func (s *Service) unreached(ctx context.Context, id string, ids []core.ObjectID) ([]core.ObjectID, error) {
	set := s.at(id)
	r, err := s.o.Store.RepositoryByID(ctx, id)
	if err != nil {
		return nil, err
	}
	if !set.current(r.Version) {
		// Most fetches want tips, which needs no set.
		tips, err := s.tips(ctx, id)
		if err != nil {
			return nil, err
		}
		if ids = tips.without(ids); len(ids) == 0 {
			return nil, nil
		}
		if err := s.await(ctx, set); err != nil {
			return nil, err
		}
	}
	rest, err := set.without(s.file(id), ids)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errFile) {
		// Somebody has taken the file away: the folder is another one, say.
		set.replace(-1, "", nil)
		if err := s.await(ctx, set); err != nil {
			return nil, err
		}
		rest, err = set.without(s.file(id), ids)
	}
	return rest, err
}

// at returns the set of a repository, which knows nothing at first.
func (s *Service) at(id string) *set {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sets[id] == nil {
		s.sets[id] = &set{id: id, version: -1}
	}
	return s.sets[id]
}

// await brings a set forward, or waits for whoever does. The work goes on when the
// caller has left: the next one needs it as well.
func (s *Service) await(ctx context.Context, set *set) error {
	timer := time.NewTimer(s.o.Wait) //nolint:forbidigo // bounds how long a request waits, and decides nothing else
	defer timer.Stop()
	done := make(chan error, 1)
	go func() { done <- s.forward(context.WithoutCancel(ctx), set, false) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return core.Errorf(core.KindConflict, "which objects refs lead to is still being counted after a change, and this repository serves no others by their ids; fetch a branch, or try again in a few minutes")
	}
}

// Applied notes a ref transaction, so that the set is there before it is asked for.
func (s *Service) Applied(repoID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queued[repoID] {
		return
	}
	s.queued[repoID] = true
	s.queue = append(s.queue, repoID)
	s.wake.Set()
}

// Run brings the sets of repositories with strict_wants forward after each change of
// their refs, one at a time, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	for {
		s.mu.Lock()
		id := ""
		if len(s.queue) > 0 {
			id, s.queue = s.queue[0], s.queue[1:]
			delete(s.queued, id)
		}
		s.mu.Unlock()
		if id == "" {
			select {
			case <-ctx.Done():
				return nil
			case <-s.wake:
			}
			continue
		}
		if err := s.background(ctx, id); err != nil && ctx.Err() == nil {
			s.log.Warn("cannot count what refs lead to; the next question tries again", "repo_id", id, "error", err)
		}
	}
}

func (s *Service) background(ctx context.Context, id string) error {
	settings, err := s.o.Store.Settings(ctx, id)
	if err != nil || !strict(settings) {
		return err
	}
	return s.forward(ctx, s.at(id), true)
}

// forward makes a set that of the repository as it is now.
func (s *Service) forward(ctx context.Context, set *set, background bool) error {
	set.making.Lock()
	defer set.making.Unlock()
	// Before the refs are read: what moves since makes the next version.
	r, err := s.o.Store.RepositoryByID(ctx, set.id)
	if err != nil {
		if core.KindOf(err) == core.KindNotFound {
			s.mu.Lock()
			delete(s.sets, set.id)
			s.mu.Unlock()
		}
		return err
	}
	if set.current(r.Version) {
		return nil
	}
	tips, err := s.tips(ctx, set.id)
	if err != nil {
		return err
	}
	digest := tips.digest()
	if set.is(digest) {
		set.adopt(r.Version)
		return nil
	}
	m := maker{s: s, dir: s.o.Path(set.id), path: s.file(set.id), tips: tips, background: background}
	extra, err := m.make(ctx, digest)
	if err != nil {
		return err
	}
	set.replace(r.Version, digest, extra)
	return nil
}
