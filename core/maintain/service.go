package maintain

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/loop"
	"github.com/headwater-git/headwater/core/repo"
)

// fullMarker is the file in a repository whose age is that of the last full
// repack.
const fullMarker = "headwater-full-repack"

// every is how many ref transactions pass between two looks at a repository.
const every = 20

// Service looks after repositories in the background. It is safe for
// concurrent use.
type Service struct {
	// Done is called after every task, for whoever counts; it must not block, and is
	// set before Run. nil: nobody does.
	Done func(task Task, took time.Duration, err error)
	// Worked is called with a repository after tasks changed its folder, under the rules
	// of Done.
	Worked func(repoID string)

	git   *git.Git
	repos *repo.Repos
	clock core.Clock
	log   hclog.Logger

	mu     sync.Mutex
	counts map[string]int // transactions since the last look
	queue  []string
	queued map[string]bool
	wake   loop.Signal
}

// New returns a service that does nothing until [Service.Run].
func New(g *git.Git, repos *repo.Repos, clock core.Clock, log hclog.Logger) *Service {
	return &Service{git: g, repos: repos, clock: clock, log: log.Named("maintain"), counts: map[string]int{}, queued: map[string]bool{}, wake: loop.NewSignal()}
}

// Applied notes a ref transaction. Many refs at once (a first mirror, an
// import) or enough transactions make the repository due for a look.
func (s *Service) Applied(repoID string, moved int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[repoID]++
	if s.counts[repoID] < every && moved < every {
		return
	}
	s.due(repoID)
}

// Due makes the repository due for a look.
func (s *Service) Due(repoID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due(repoID)
}

func (s *Service) due(repoID string) {
	delete(s.counts, repoID)
	if s.queued[repoID] {
		return
	}
	s.queued[repoID] = true
	s.queue = append(s.queue, repoID)
	s.wake.Set()
}

func (s *Service) next() (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return "", false
	}
	id := s.queue[0]
	s.queue = s.queue[1:]
	delete(s.queued, id)
	return id, true
}

// Run works off what is due, one repository at a time, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	for {
		id, ok := s.next()
		if !ok {
			if !loop.SleepUntil(ctx, s.clock, time.Time{}, s.wake) {
				return nil
			}
			continue
		}
		if err := s.Maintain(ctx, id); err != nil && ctx.Err() == nil {
			s.log.Warn("maintenance failed; it is tried again after more changes", "repo_id", id, "error", err)
		}
	}
}

// Maintain looks at a repository and does what its plan says. It does nothing
// if somebody else is at it.
func (s *Service) Maintain(ctx context.Context, id string) error {
	unlock, ok := s.repos.Locks().TryMaintain(id)
	if !ok || !s.repos.Exists(id) {
		if ok {
			unlock()
		}
		return nil
	}
	defer unlock()
	dir := s.repos.Path(id)
	state, err := Look(dir, s.clock.Now())
	if err != nil {
		return err
	}
	for _, task := range Plan(state) {
		began := s.clock.Now()
		err := s.do(ctx, id, dir, task)
		if s.Done != nil {
			s.Done(task, s.clock.Now().Sub(began), err)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", task, err)
		}
		s.log.Debug("maintenance task done", "repo_id", id, "task", task)
		if s.Worked != nil {
			s.Worked(id)
		}
	}
	return nil
}

func (s *Service) do(ctx context.Context, id, dir string, task Task) error {
	c := git.Command{Dir: dir, Background: true, Config: []git.Config{
		// Serving must not starve beside it.
		git.Set("pack.threads", "1"),
	}}
	switch task {
	case TaskFullRepack:
		// Noted before it starts, so that one that fails does not come again
		// and again.
		if err := os.WriteFile(filepath.Join(dir, fullMarker), nil, 0o600); err != nil {
			return err
		}
		if err := os.Chtimes(filepath.Join(dir, fullMarker), s.clock.Now(), s.clock.Now()); err != nil {
			return err
		}
		c.Name = "repack"
		// --cruft keeps unreachable objects, with their age, in a pack of
		// their own until they are two weeks old.
		c.Flags = []string{"-d", "--cruft", "--cruft-expiration=2.weeks.ago", "--write-bitmap-index", "--quiet"}
	case TaskGeometricRepack:
		c.Name = "repack"
		c.Flags = []string{"-d", "-l", "--geometric=2", "--write-midx", "--write-bitmap-index", "--quiet"}
	case TaskCommitGraph:
		c.Name, c.Verb = "commit-graph", "write"
		// --changed-paths: filters that make "log -- path" fast. --split adds a
		// layer instead of writing everything anew.
		c.Flags = []string{"--reachable", "--changed-paths", "--split"}
	case TaskPackRefs:
		unlock, err := s.repos.Locks().LockWrite(ctx, id)
		if err != nil {
			return err
		}
		defer unlock()
		c.Name = "pack-refs"
		c.Flags = []string{"--all"}
		c.Background = false // it holds the write lock
	}
	return s.git.Run(ctx, c)
}

// Look reads the state of a repository, at the time now, without starting git.
func Look(dir string, now time.Time) (State, error) {
	var s State
	packs, err := os.ReadDir(filepath.Join(dir, "objects", "pack"))
	if err != nil {
		return s, err
	}
	for _, p := range packs {
		switch {
		case strings.HasSuffix(p.Name(), ".pack"):
			if info, err := p.Info(); err == nil {
				s.Packs++
				s.PackBytes += info.Size()
			}
		case strings.HasSuffix(p.Name(), ".bitmap"):
			s.Bitmap = true
		}
	}
	// Object ids are evenly spread: one folder of 256 tells of all, as
	// "git gc --auto" does it.
	if sample, err := os.ReadDir(filepath.Join(dir, "objects", "17")); err == nil {
		s.LooseObjects = len(sample) * 256
	}
	for _, name := range []string{"commit-graph", "commit-graphs/commit-graph-chain"} {
		if _, err := os.Stat(filepath.Join(dir, "objects", "info", name)); err == nil {
			s.CommitGraph = true
		}
	}
	if info, err := os.Stat(filepath.Join(dir, fullMarker)); err == nil {
		s.SinceFull = now.Sub(info.ModTime())
	}
	if info, err := os.Stat(filepath.Join(dir, "packed-refs")); err == nil {
		s.PackedRefs = info.Size()
	}
	err = filepath.WalkDir(filepath.Join(dir, "refs"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			s.LooseRefs++
		}
		return nil
	})
	return s, err
}
