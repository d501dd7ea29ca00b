package rewrite

import (
	"context"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/core/repo"
)

// Branches makes branches by write sessions; [*commit.Service] is the one.
type Branches interface {
	CreateBranch(ctx context.Context, b commit.NewBranch) (id core.ObjectID, created bool, err error)
}

// Upstreams lists refs of upstreams; [*upstream.Service] is the one.
type Upstreams interface {
	Refs(ctx context.Context, repo core.Repository, prefixes []string) (discovery.Advertisement, error)
}

var _ Branches = (*commit.Service)(nil)

// Store is what this package needs of [core.Store].
type Store interface {
	core.RewriteStore
	core.Transactor
	RepositoryIDs(ctx context.Context) ([]string, error)
	Settings(ctx context.Context, repoID string) (core.Settings, error)
}

// Options configures [New].
type Options struct {
	Git       *git.Git
	Repos     *repo.Repos
	Store     Store
	Branches  Branches
	Upstreams Upstreams
	Clock     core.Clock
	Logger    hclog.Logger
	// WantSync asks for a sync of the repository.
	WantSync func(ctx context.Context, repoID string)

	LockTimeout time.Duration // waiting for a writer of the ref; 0 is 30 s
}

// Service answers for the rewrites of all repositories. It is safe for
// concurrent use.
type Service struct {
	git      *git.Git
	repos    *repo.Repos
	store    Store
	branches Branches
	up       Upstreams
	clock    core.Clock
	log      hclog.Logger
	o        Options
}

// New returns a service. Old tips expire while its Run does.
func New(o Options) *Service {
	if o.LockTimeout == 0 {
		o.LockTimeout = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	return &Service{
		git: o.Git, repos: o.Repos, store: o.Store, branches: o.Branches, up: o.Upstreams, clock: o.Clock,
		log: o.Logger.Named("rewrite"), o: o,
	}
}

// List returns rewrites of a repository, newest first. One whose time is over
// is shown as expired from that moment on.
func (s *Service) List(ctx context.Context, f core.RewriteFilter) ([]core.Rewrite, error) {
	rows, err := s.store.Rewrites(ctx, f)
	for i := range rows {
		s.age(&rows[i])
	}
	return rows, err
}

// Get returns one rewrite. Errors: KindNotFound.
func (s *Service) Get(ctx context.Context, repoID, id string) (core.Rewrite, error) {
	row, err := s.store.Rewrite(ctx, repoID, id)
	s.age(&row)
	return row, err
}

// age makes the state of a row that of now: the loop that lets old tips go may
// be a moment behind.
func (s *Service) age(row *core.Rewrite) {
	if row.State == core.RewriteRetained && !row.ExpiresAt.IsZero() && !row.ExpiresAt.After(s.clock.Now()) {
		row.State = core.RewriteExpired
	}
}

// Restore makes the old tip of a retained rewrite a branch again, by a
// write session: in a synced repository it goes to the upstream first. Of an annotated
// tag the commit is restored. Errors: KindNotFound; KindConflict if the old tip
// is not kept (any more), or the branch exists; KindInvalid for a bad name or a
// tag of something that is no commit; and what writing the ref says.
func (s *Service) Restore(ctx context.Context, c commit.Caller, id, branch string) (core.Rewrite, error) {
	row, err := s.Get(ctx, c.Repo.ID, id)
	if err != nil {
		return row, err
	}
	if row.State != core.RewriteRetained {
		return row, core.Errorf(core.KindConflict, "the old tip of %s cannot be restored: the rewrite is %s", row.Ref, row.State)
	}
	branch = strings.TrimPrefix(branch, "refs/heads/")
	if branch == "" {
		return row, core.Errorf(core.KindInvalid, "branch is required: the name under which the old tip is restored")
	}
	if err := core.ValidateBranchName(branch); err != nil {
		return row, err
	}
	made, _, err := s.branches.CreateBranch(ctx, commit.NewBranch{Caller: c, Branch: branch, Base: string(row.Old)})
	if err != nil {
		return row, err
	}
	ctx = context.WithoutCancel(ctx) // the branch is there
	if made == row.Old {
		// The branch keeps it from now on. Before the row: a hidden ref that no
		// row tells of would stay for ever.
		if err := s.repos.DropKept(ctx, c.Repo.ID, row); err != nil {
			return row, err
		}
		row.State = core.RewriteRestored
	} // else the annotated tag stays until its time is over
	row.Restored, row.DecidedAt, row.DecidedBy = branch, s.clock.Now(), c.Actor.Subject
	return row, s.store.SaveRewrite(ctx, row)
}

// Dismiss ends a rewrite without effect on its ref: a retained tip is let go
// now; a held ref stays where it is, and the same move is not asked about again.
// Errors: KindNotFound, KindConflict in any other state, KindPermission if the
// token's policy for the ref forbids to lose history.
func (s *Service) Dismiss(ctx context.Context, c commit.Caller, id string) (core.Rewrite, error) {
	row, err := s.Get(ctx, c.Repo.ID, id)
	if err != nil {
		return row, err
	}
	if err := allowed(c, row); err != nil {
		return row, err
	}
	if row.AwaitsLFS && row.State == core.RewriteHeld {
		return row, core.Errorf(core.KindConflict, "%s waits for its LFS objects and follows by itself then; approve %s to have it follow now", row.Ref, row.ID)
	}
	switch row.State {
	case core.RewriteHeld, core.RewriteFrozen:
	case core.RewriteRetained:
		if err := s.repos.DropKept(ctx, c.Repo.ID, row); err != nil {
			return row, err
		}
	default:
		return row, core.Errorf(core.KindConflict, "the rewrite of %s is %s already", row.Ref, row.State)
	}
	before := row.State
	row.State, row.DecidedAt, row.DecidedBy = core.RewriteDismissed, s.clock.Now(), c.Actor.Subject
	return row, s.store.Tx(ctx, func(q core.Queries) error {
		now, err := q.Rewrite(ctx, c.Repo.ID, id)
		if err != nil {
			return err
		}
		if now.State != before {
			return core.Errorf(core.KindConflict, "the rewrite of %s has become %s meanwhile", row.Ref, now.State)
		}
		return q.SaveRewrite(ctx, row)
	})
}

// allowed applies the token's policy: who may not rewrite a ref may neither let
// a rewrite through nor let its old tip go.
func allowed(c commit.Caller, row core.Rewrite) error {
	if rule := c.Policy.Rule(row.Ref); rule.NoPush || rule.NoForcePush {
		return core.Errorf(core.KindPermission, "%s: denied by policy", row.Ref)
	}
	return nil
}
