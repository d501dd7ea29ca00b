package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/content"
	"github.com/headwater-git/headwater/core/ephemeral"
	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/core/forget"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/catfile"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/core/git/treeobject"
	"github.com/headwater-git/headwater/core/inbound"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/lfs/backlog"
	"github.com/headwater-git/headwater/core/lfs/prune"
	"github.com/headwater-git/headwater/core/lfs/remote"
	"github.com/headwater-git/headwater/core/limit"
	"github.com/headwater-git/headwater/core/maintain"
	"github.com/headwater-git/headwater/core/mirror"
	"github.com/headwater-git/headwater/core/mirrorset"
	"github.com/headwater-git/headwater/core/orgdelete"
	"github.com/headwater-git/headwater/core/publicread"
	"github.com/headwater-git/headwater/core/purge"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/core/quota"
	"github.com/headwater-git/headwater/core/reach"
	"github.com/headwater-git/headwater/core/rebuild"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/retain"
	"github.com/headwater-git/headwater/core/rewrite"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/core/serve"
	"github.com/headwater-git/headwater/core/trash"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/core/usage"
	"github.com/headwater-git/headwater/providers/netguard"
)

// Options configures [New].
type Options struct {
	DataDir   string
	Git       *git.Git
	Store     core.Store
	Plugins   upstream.Plugins
	Clock     core.Clock
	Logger    hclog.Logger
	Resolver  netguard.Resolver // nil is the system's
	Agent     string            // User-Agent for upstreams
	Failpoint func(name string) // see repo.Options
	// CommitPoint is that of repo.Options; nil is the one of a single machine.
	CommitPoint func(o repo.CommitPointOptions) repo.CommitPoint
	// PublicURL is where hosts can reach this server; with "" they are given no
	// address to deliver webhooks to.
	PublicURL string
	// MaxPushSize bounds the pack of one push in bytes; 0 is no limit.
	MaxPushSize int64
	// SettlePeriod is over how long an upstream must show an old id before a push
	// without an answer counts as not taken; 0 is 2 min.
	SettlePeriod time.Duration
	Webhooks     events.Policy // where outbound webhooks may lead
	// Limits bound what requests may use at the same time.
	Limits limit.Options
	// Trees are how much of a tree git may be asked to unfold for a request.
	Trees treeobject.Limits
	// KeepDeleted is for how long deleted repositories can be had back; 0 removes them
	// at once.
	KeepDeleted time.Duration
	// Observer is notified of what was done; nil: nobody is.
	Observer Observer
}

// Store is what the use cases need of [core.Store].
type Store interface {
	Repository(ctx context.Context, org, name string) (core.Repository, error)
	RepositoryByID(ctx context.Context, id string) (core.Repository, error)
	RepositoryIDs(ctx context.Context) ([]string, error)
	DeletedRepository(ctx context.Context, org, nameOrID string) (core.Repository, error)
	core.Transactor
	DetachUpstream(ctx context.Context, id string) error
	SetPaused(ctx context.Context, id string, at time.Time) (bool, error)
	core.CredentialStore
	core.SharedCredentialStore
	Settings(ctx context.Context, repoID string) (core.Settings, error)
	SaveSettings(ctx context.Context, repoID string, s core.Settings) error
	SyncState(ctx context.Context, repoID string) (core.SyncState, error)
	Runs(ctx context.Context, repoID, before string, limit int) ([]core.Run, error)
	InterruptRuns(ctx context.Context, at time.Time) (int, error)
	InboundWebhook(ctx context.Context, repoID string) (core.InboundWebhook, error)
	Expectations(ctx context.Context, repoID string) ([]core.Expectation, error)
	HeldRewrites(ctx context.Context, repoID string) ([]core.Rewrite, error)
	Forgotten(ctx context.Context, repoID string, ids []core.ObjectID) ([]core.ObjectID, error)
	LFSBacklog(ctx context.Context, repoID string) (core.LFSBacklog, error)
}

// Engine is the core, built. Make one with [New], call Recover once, then Run.
type Engine struct {
	store     Store
	git       *git.Git
	repos     *repo.Repos
	push      *push.Service
	serve     *serve.Service
	limiter   *limit.Limiter
	commit    *commit.Service
	objects   *catfile.Pool
	rewrite   *rewrite.Service
	purge     *purge.Service
	copies    *forget.Registry
	reach     *reach.Service
	ephemeral *ephemeral.Service
	schedule  *schedule.Service
	sync      *mirror.Service
	monitor   *upstream.Monitor
	looker    *mirror.Looker
	maintain  *maintain.Service
	rebuild   *rebuild.Service
	content   *content.Service
	events    *events.Service
	inbound   *inbound.Service
	sets      *mirrorset.Service
	upstreams *upstream.Service
	discover  *discovery.Discoverer
	readiness *Readiness
	retain    *retain.Service
	rotation  *maintain.Rotation
	served    *maintain.Served
	usage     *usage.Service
	quota     *quota.Service
	public    *publicread.Service
	trash     *trash.Service
	orgs      *orgdelete.Service
	lfs       *lfs.Service
	lfsRemote *remote.Service
	backlog   *backlog.Service
	prune     *prune.Service
	clock     core.Clock
	log       hclog.Logger

	keepDeleted time.Duration
}

// Close ends the processes that wait for reads. Nothing may be asked after it.
// It may be called twice.
func (e *Engine) Close() error {
	e.looker.Close()
	err := e.lfs.Close()
	e.lfsRemote.CloseIdle()
	return errors.Join(err, e.objects.Close())
}

// wantSync requests a sync for a write session. A failure is logged: it does not
// change the result of the session.
func (e *Engine) wantSync(ctx context.Context, repoID string) {
	e.requestSync(ctx, repoID, schedule.TriggerPush)
}

func (e *Engine) requestSync(ctx context.Context, repoID, trigger string) {
	if _, err := e.schedule.Request(context.WithoutCancel(ctx), repoID, trigger, ""); err != nil && core.KindOf(err) != core.KindNotFound {
		e.log.Error("cannot ask for a sync", "repo_id", repoID, "error", err)
	}
}

// Recover finishes what a crash cut short on this machine: half-made
// repositories, stale locks, interrupted runs. Nothing may be served before.
func (e *Engine) Recover(ctx context.Context) error {
	if err := e.repos.Recover(ctx); err != nil {
		return fmt.Errorf("recover repositories: %w", err)
	}
	if err := e.rebuild.Survey(ctx); err != nil {
		return fmt.Errorf("look for damaged repositories: %w", err)
	}
	if err := e.repos.DescribeAll(ctx); err != nil {
		return fmt.Errorf("describe repositories: %w", err)
	}
	if err := e.push.Survey(ctx); err != nil {
		return fmt.Errorf("recover writes: %w", err)
	}
	n, err := e.store.InterruptRuns(ctx, e.clock.Now())
	if err != nil {
		return fmt.Errorf("recover sync runs: %w", err)
	}
	if n > 0 {
		e.log.Info("sync runs were interrupted by the last stop; they start again", "runs", n)
	}
	return nil
}

// Run settles interrupted write sessions, which may ask upstreams, then
// schedules syncs and maintenance until ctx ends and all of it has stopped.
func (e *Engine) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.push.Run(ctx) })
	g.Go(func() error { return e.sync.Serve(ctx) })
	g.Go(func() error { return e.maintain.Run(ctx) })
	g.Go(func() error { return e.rebuild.Run(ctx) })
	g.Go(func() error { return e.rotation.Run(ctx) })
	g.Go(func() error { return e.served.Run(ctx) })
	g.Go(func() error { return e.retain.Run(ctx) })
	g.Go(func() error { return e.trash.Run(ctx) })
	g.Go(func() error { return e.orgs.Run(ctx) })
	g.Go(func() error { return e.usage.Run(ctx) })
	g.Go(func() error { return e.rewrite.Run(ctx) })
	g.Go(func() error { return e.reach.Run(ctx) })
	g.Go(func() error { return e.ephemeral.Run(ctx) })
	g.Go(func() error { return e.inbound.Run(ctx) })
	g.Go(func() error { return e.events.Run(ctx) })
	g.Go(func() error { return e.sets.Run(ctx) })
	g.Go(func() error { return e.lfs.Run(ctx) })
	g.Go(func() error { return e.lfs.Rotate(ctx) })
	g.Go(func() error { return e.backlog.Run(ctx) })
	g.Go(func() error { return e.watchCredentials(ctx) })
	err := g.Wait()
	e.discover.CloseIdle()
	return err
}
