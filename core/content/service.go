package content

import (
	"context"
	"runtime"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// Options configures [New]. All but Current are required.
type Options struct {
	Git     *git.Git
	Objects *git.CatFile               // the pool; whoever made it closes it
	Path    func(repoID string) string // folder of a repository
	// Current is asked before each read whether the local copy is the newest
	// there is; nil means always.
	Current func(ctx context.Context, repo core.Repository) error
	TempDir string // for the objects of merge previews
	// MaxWork is how many searches, walks over history and merges run at the
	// same time, over all repositories; others wait. 0 is two per processor,
	// but at least four. What is streamed to a client does not count: how long
	// that takes is up to the client.
	MaxWork int
}

// Service reads repositories. It keeps no process and no file of its own.
type Service struct {
	git     *git.Git
	cat     *git.CatFile
	path    func(string) string
	current func(context.Context, core.Repository) error
	temp    string
	last    *lastCommits
	room    chan struct{} // one token for each piece of work that runs
}

// New returns a service.
func New(o Options) *Service {
	if o.Current == nil {
		o.Current = func(context.Context, core.Repository) error { return nil }
	}
	if o.MaxWork <= 0 {
		o.MaxWork = max(4, 2*runtime.GOMAXPROCS(0))
	}
	return &Service{
		git: o.Git, cat: o.Objects, path: o.Path, current: o.Current, temp: o.TempDir,
		last: newLastCommits(lastCommitsLimit), room: make(chan struct{}, o.MaxWork),
	}
}

// At says what to read: a revision as one namespace sees it. An empty Ref is
// the default branch.
type At struct {
	Namespace core.Namespace
	Ref       string
}

// dir returns the folder of the repository when it may be read.
func (s *Service) dir(ctx context.Context, repo core.Repository) (string, error) {
	if err := s.current(ctx, repo); err != nil {
		return "", err
	}
	return s.path(repo.ID), nil
}

// Time limits of operations whose cost a caller decides. They bound what one
// request can take from the others; a slow network counts, too.
const (
	grepTimeout    = 20 * time.Second
	blameTimeout   = time.Minute
	mergeTimeout   = 30 * time.Second
	historyTimeout = 2 * time.Minute
	diffTimeout    = 5 * time.Minute
	archiveTimeout = 2 * time.Hour
)

// limited returns a context that ends after the limit with a KindTimeout error
// as its cause, which git's runner puts into the errors it returns.
func limited(ctx context.Context, limit time.Duration, what string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, core.Errorf(core.KindTimeout, "%s took longer than %s; ask for less at once", what, limit))
}

// begin waits until the service has room for one more piece of work; the caller
// must call done at its end.
func (s *Service) begin(ctx context.Context) (done func(), err error) {
	select {
	case s.room <- struct{}{}:
		return func() { <-s.room }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// literal makes git take pathspecs as plain paths: no globs, no ":(magic)".
func literal() []string { return []string{"GIT_LITERAL_PATHSPECS=1"} }
