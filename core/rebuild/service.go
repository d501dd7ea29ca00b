package rebuild

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/loop"
	"github.com/headwater-git/headwater/core/repo"
)

const (
	// retryAfter is when a reader is asked to come again.
	retryAfter = 30 * time.Second
	// quiet is how long a repository is not looked at again after a suspicion that was
	// not confirmed.
	quiet = time.Hour
	// recheckEvery is how often repositories that wait, or are gone, are looked for.
	recheckEvery = time.Minute
	// manyMissing and the tenth part of all are what looks like an unmounted disk.
	manyMissing = 3
)

// Store is what this package needs of [core.Store].
type Store interface {
	core.DamageStore
	RepositoryByID(ctx context.Context, id string) (core.Repository, error)
	RepositoryIDs(ctx context.Context) ([]string, error)
	Journal(ctx context.Context, repoID string, limit int) ([]core.JournalEntry, error)
	Rewrites(ctx context.Context, f core.RewriteFilter) ([]core.Rewrite, error)
	HeldRewrites(ctx context.Context, repoID string) ([]core.Rewrite, error)
	core.Transactor
}

// Options configures [New].
type Options struct {
	Git    *git.Git
	Repos  *repo.Repos
	Store  Store
	Clock  core.Clock
	Logger hclog.Logger
	// WantSync asks for the sync that rebuilds a repository.
	WantSync func(ctx context.Context, repoID string)
	// Look has the files of a repository compared with their checksums before long; nil:
	// nothing does. Reverify gets what it finds.
	Look func(repoID string)
	// Rebuilt is called when one has been; nil: nothing is.
	Rebuilt func(repoID string)
}

// Service knows which repositories are missing or damaged. It is safe for concurrent
// use. Call Survey before anything is served, then Run.
type Service struct {
	o   Options
	log hclog.Logger

	mu    sync.Mutex
	open  map[string]core.Damage // that have not ended, by repository id
	queue []suspicion
	// postponed are those whose repositories were being repacked.
	postponed []suspicion
	// looked is when a suspicion was last not confirmed, by repository id.
	looked map[string]time.Time
	wake   loop.Signal
}

// suspicion is that a repository may be damaged.
type suspicion struct {
	repoID string
	reason string
	// brief: it was verified a short time ago. Only what is missing of its folder is
	// looked for, which costs nothing.
	brief bool
	// person: somebody asked, and waits for the answer.
	person bool
}

// New returns a service that knows nothing yet.
func New(o Options) *Service {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.Rebuilt == nil {
		o.Rebuilt = func(string) {}
	}
	if o.Look == nil {
		o.Look = func(string) {}
	}
	s := &Service{o: o, log: o.Logger.Named("rebuild"), open: map[string]core.Damage{}, looked: map[string]time.Time{}, wake: loop.NewSignal()}
	return s
}

// Of returns the damage of a repository that has not ended.
func (s *Service) Of(r core.Repository) (core.Damage, bool) {
	d, ok := s.of(r.ID)
	if ok && r.Upstream != nil && d.State != core.DamageWaiting {
		d.State = core.DamageRebuilding // also if it was attached to one since
	}
	return d, ok
}

func (s *Service) of(repoID string) (core.Damage, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.open[repoID]
	return d, ok
}

// Check refuses what needs the content of a repository: KindRebuilding while it is
// fetched again, and KindDamaged where it waits for a person or is gone. A repository
// without upstream of which a part is damaged is served as far as it can be read.
func (s *Service) Check(r core.Repository) error {
	d, ok := s.Of(r)
	if !ok || d.State == core.DamagePartial {
		return nil
	}
	e := &core.Error{Kind: core.KindDamaged, Message: Sentence(r, d)}
	if d.State == core.DamageRebuilding {
		e.Kind, e.RetryAfter = core.KindRebuilding, retryAfter
	}
	return e
}

// Sentence says what is wrong with a repository and what to do.
func Sentence(r core.Repository, d core.Damage) string {
	switch d.State {
	case core.DamageRebuilding:
		return fmt.Sprintf("the content of this repository was damaged here (%s) and is being fetched from its upstream again; retry shortly", d.Reason)
	case core.DamageWaiting:
		return fmt.Sprintf("the content of this repository is not here (%s), together with that of many others, as if a disk were not mounted: "+
			"mount it; or, if the content is really gone, say go on: headwater repo rebuild %s", d.Reason, core.ShellArg(r.Name))
	case core.DamageLost:
		return fmt.Sprintf("the content of this repository is gone (%s), and it has no upstream to fetch it from: "+
			"restore its folder from a backup (docs/recovery.md), or link it to an upstream: headwater repo attach %s URL", d.Reason, core.ShellArg(r.Name))
	}
	return fmt.Sprintf("a part of this repository cannot be read (%s), and it has no upstream to fetch it from: "+
		"restore its folder from a backup (docs/recovery.md), then headwater repo rebuild %s", d.Reason, core.ShellArg(r.Name))
}

// Problems says in one sentence each what an operator has to look at, and whether
// repositories wait for a person.
func (s *Service) Problems() (problems []string, waiting bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := map[core.DamageState]int{}
	for _, d := range s.open {
		count[d.State]++
	}
	if n := count[core.DamageWaiting]; n > 0 {
		problems = append(problems, "missing at once, as if a disk were not mounted: "+core.Count(n, "repository")+"; mount it, or say go on with headwater repo rebuild --all")
	}
	if n := count[core.DamageLost] + count[core.DamagePartial]; n > 0 {
		problems = append(problems, "missing or damaged, and without an upstream: "+core.Count(n, "repository")+"; headwater repo show says how to restore each from a backup")
	}
	if n := count[core.DamageRebuilding]; n > 0 {
		problems = append(problems, "damaged, and being fetched from the upstream again: "+core.Count(n, "repository"))
	}
	return problems, count[core.DamageWaiting] > 0
}

// Suspect notes that a repository may be damaged. It returns at once; Run finds out.
func (s *Service) Suspect(repoID, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.looked[repoID]
	s.suspect(suspicion{repoID: repoID, reason: reason, brief: ok && s.o.Clock.Now().Sub(at) < quiet})
}

// Reverify is Suspect for what is more than words: a file that is not what its checksum
// says, or a ref without its object. It counts also where the repository was found whole
// a short time ago: it was changed since.
func (s *Service) Reverify(repoID, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suspect(suspicion{repoID: repoID, reason: reason})
}

// suspect queues a suspicion; the caller holds mu.
func (s *Service) suspect(p suspicion) {
	if _, known := s.open[p.repoID]; known {
		return
	}
	if i := slices.IndexFunc(s.queue, func(o suspicion) bool { return o.repoID == p.repoID }); i >= 0 {
		if s.queue[i].brief {
			s.queue[i] = p
		}
		return
	}
	s.queue = append(s.queue, p)
	s.wake.Set()
}

// SuspectFolder is Suspect for what a git said that worked in a folder. What is no
// repository's folder is none of ours.
func (s *Service) SuspectFolder(dir, said string) {
	id, ok := strings.CutSuffix(filepath.Base(dir), ".git")
	if ok && strings.HasPrefix(id, "repo_") && s.o.Repos.Path(id) == dir {
		s.Suspect(id, said)
	}
}

// Forget drops what is known of a repository that was deleted.
func (s *Service) Forget(repoID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, repoID)
	delete(s.looked, repoID)
}

// Run confirms suspicions, one repository at a time, and looks again for what is
// missing, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	s.removeAccounted(ctx)
	swept := s.o.Clock.Now()
	for {
		if next, ok := s.next(); ok {
			err := s.confirm(ctx, next)
			switch {
			case err == nil, ctx.Err() != nil:
			case core.KindOf(err) == core.KindLocked:
				s.later(next)
			default:
				s.log.Error("whether a repository is damaged could not be found out", "repo_id", next.repoID, "suspicion", next.reason, "error", err)
			}
			continue
		}
		var again <-chan time.Time
		if s.anyMissing() || s.anyLater() {
			again = s.o.Clock.After(recheckEvery)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-again:
			s.recheck(ctx)
			s.takeUp()
		}
		if now := s.o.Clock.Now(); now.Sub(swept) > 24*time.Hour {
			swept = now
			s.removeAccounted(ctx)
		}
	}
}

func (s *Service) next() (suspicion, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return suspicion{}, false
	}
	next := s.queue[0]
	s.queue = s.queue[1:]
	return next, true
}

// later has a suspicion taken up again when the repack may have ended.
func (s *Service) later(p suspicion) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.postponed = append(s.postponed, p)
}

func (s *Service) anyLater() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.postponed) > 0
}

// takeUp queues what was postponed.
func (s *Service) takeUp() {
	s.mu.Lock()
	postponed := s.postponed
	s.postponed = nil
	s.mu.Unlock()
	for _, p := range postponed {
		s.Suspect(p.repoID, p.reason)
	}
}

// save writes a damage down and takes it in.
func (s *Service) save(ctx context.Context, d core.Damage) error {
	if err := s.o.Store.SaveDamage(ctx, d); err != nil {
		return err
	}
	s.keep(d)
	return nil
}

func (s *Service) keep(d core.Damage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.State.Open() {
		s.open[d.RepoID] = d
	} else {
		delete(s.open, d.RepoID)
	}
}
