package content

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
	"github.com/headwater-git/headwater/core/git/treeobject"
	"github.com/headwater-git/headwater/core/limit"
)

// Options configures [New]. All but Trees, Current and Refused are required.
type Options struct {
	Git     *git.Git
	Objects *catfile.Pool              // the pool; whoever made it closes it
	Trees   *treeobject.Sizes          // nil is one of our own with the default limits
	Path    func(repoID string) string // folder of a repository
	// Current is asked before each read whether the local copy is the newest
	// there is; nil means always.
	Current func(ctx context.Context, repo core.Repository) error
	TempDir string // for the objects of merge previews
	// Refused returns which of the ids that a caller names may not be named. Nil: none.
	Refused func(ctx context.Context, repo core.Repository, ids []core.ObjectID) ([]core.ObjectID, error)
	// Missed is called when a ref was not found, or leads to no object: it may be there
	// and its object be lost. Nil: nothing is. It does not wait.
	Missed func(repoID string)
	// Looked is called for each look at what is remembered of a file's last commit: whether
	// it was. Nil: nothing is. It must not wait.
	Looked func(found bool)
}

// Service reads repositories. It keeps no process and no file of its own.
type Service struct {
	git     *git.Git
	cat     *catfile.Pool
	unfold  *treeobject.Sizes
	path    func(string) string
	current func(context.Context, core.Repository) error
	refused func(context.Context, core.Repository, []core.ObjectID) ([]core.ObjectID, error)
	missed  func(repoID string)
	temp    string
	last    *lastCommits
	looked  func(found bool)
}

// New returns a service.
func New(o Options) *Service {
	if o.Current == nil {
		o.Current = func(context.Context, core.Repository) error { return nil }
	}
	if o.Refused == nil {
		o.Refused = func(context.Context, core.Repository, []core.ObjectID) ([]core.ObjectID, error) { return nil, nil }
	}
	if o.Missed == nil {
		o.Missed = func(string) {}
	}
	if o.Looked == nil {
		o.Looked = func(bool) {}
	}
	if o.Trees == nil {
		o.Trees = treeobject.NewSizes(o.Objects, treeobject.Limits{})
	}
	return &Service{
		git: o.Git, cat: o.Objects, unfold: o.Trees, path: o.Path, current: o.Current, refused: o.Refused, missed: o.Missed, temp: o.TempDir,
		last: newLastCommits(lastCommitsLimit), looked: o.Looked,
	}
}

// Forget implements [forget.Forgetter] for what is remembered of a repository.
func (s *Service) Forget(_ context.Context, repo core.Repository, _ []core.ObjectID) error {
	s.last.forget(repo.ID)
	return nil
}

// At says what to read: a revision as one namespace sees it. An empty Ref is
// the default branch.
type At struct {
	Namespace core.Namespace
	Ref       string
}

// dir returns the folder of the repository when it may be read. Every read
// begins here, and so takes its request's slot here: what follows starts git.
func (s *Service) dir(ctx context.Context, repo core.Repository) (string, error) {
	if err := limit.Take(ctx, repo.ID); err != nil {
		return "", err
	}
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

// literal makes git take pathspecs as plain paths: no globs, no ":(magic)".
func literal() []string { return []string{"GIT_LITERAL_PATHSPECS=1"} }
