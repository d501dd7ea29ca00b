package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
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
	"github.com/headwater-git/headwater/core/lfs/scan"
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

// New builds the parts and connects them.
func New(o Options) (*Engine, error) {
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	discover := discovery.New(o.Agent)
	e := &Engine{git: o.Git, clock: o.Clock, log: o.Logger, discover: discover, keepDeleted: o.KeepDeleted}
	cached := func(c Cache) func(bool) { return func(found bool) { o.Observer.Cached(c, found) } }
	e.objects = catfile.NewPool(o.Git, catfile.Options{Looked: cached(CacheReaders)})
	var err error
	e.repos, err = repo.Open(repo.Options{
		Root: o.DataDir, Git: o.Git, Store: o.Store, Clock: o.Clock, Locker: repo.NewLocker(), Logger: o.Logger, Failpoint: o.Failpoint,
		Objects: e.objects, CommitPoint: o.CommitPoint,
	})
	if err != nil {
		return nil, err
	}
	// Only what changes refs has the store itself: a commit point may keep tables in it.
	o.Store = describing{o.Store, e.describe}
	e.store = o.Store
	e.upstreams = upstream.New(o.Plugins, o.Store, o.Resolver, discover)
	e.maintain = maintain.New(o.Git, e.repos, o.Clock, o.Logger)
	e.quota = quota.New(o.Store, o.Clock)
	e.public = publicread.New(o.Store, e.quota.Limits)
	room := func(ctx context.Context, r core.Repository) error { return e.quota.CheckRoom(ctx, r.Org) }
	e.usage = usage.New(usage.Options{Store: o.Store, Path: e.repos.Path, Clock: o.Clock, Logger: o.Logger})
	e.schedule = schedule.New(schedule.Options{Store: o.Store, Upstreams: e.upstreams, Clock: o.Clock, Logger: o.Logger})
	e.monitor = upstream.NewMonitor(upstream.MonitorOptions{Hosts: e.upstreams, Store: o.Store, Schedule: e.schedule, Clock: o.Clock, Logger: o.Logger})
	e.lfsRemote = remote.New(remote.Options{Upstreams: e.upstreams, Links: e.monitor, Hosts: e.schedule, Clock: o.Clock, Resolver: o.Resolver, Agent: o.Agent})
	e.lfs, err = lfs.New(lfs.Options{
		Dir: filepath.Join(o.DataDir, lfs.FolderName), Store: o.Store, Room: room, Changed: e.usage.Due, Clock: o.Clock, Logger: o.Logger.Named("lfs"),
		Failpoint: e.repos.Failpoint, Failure: upstream.Failure,
		Upstream: func(_ context.Context, r core.Repository) (lfs.Upstream, error) { return e.lfsRemote.For(r), nil },
	})
	if err != nil {
		return nil, err
	}
	e.backlog = backlog.New(backlog.Options{
		Store: o.Store, Objects: e.lfs, Scanner: scan.New(o.Git, e.objects), Git: o.Git, Path: e.repos.Path, Hosts: e.schedule, Clock: o.Clock,
		Logger:  o.Logger.Named("lfs"),
		Arrived: func(ctx context.Context, id string) { e.requestSync(ctx, id, schedule.TriggerRecovery) },
	})
	e.maintain.Done = o.Observer.Maintained
	e.maintain.Worked = e.usage.Due
	e.reach = reach.New(reach.Options{Git: o.Git, Path: e.repos.Path, Store: o.Store, Logger: o.Logger})
	e.repos.OnApplied(func(id string, moved int) {
		e.maintain.Applied(id, moved)
		e.usage.Due(id)
		e.reach.Applied(id)
		e.backlog.Applied(id)
	})
	e.rebuild = rebuild.New(rebuild.Options{
		Git: o.Git, Repos: e.repos, Store: o.Store, Clock: o.Clock, Logger: o.Logger, Rebuilt: e.maintain.Due,
		WantSync: func(ctx context.Context, id string) { e.requestSync(ctx, id, schedule.TriggerRecovery) },
		Look:     func(id string) { e.served.Want(id) },
	})
	o.Git.OnDamaged(e.rebuild.SuspectFolder)
	e.readiness = newReadiness(o.Store, e.rebuild, &disk{dir: e.repos.TempDir(), clock: o.Clock})
	e.retain = retain.New(o.Store, o.Clock, o.Logger)
	e.trash = trash.New(trash.Options{Store: o.Store, Repos: e.repos, Clock: o.Clock, Logger: o.Logger})
	e.orgs = orgdelete.New(orgdelete.Options{Store: o.Store, Repositories: e, Clock: o.Clock, Logger: o.Logger, Failpoint: e.repos.Failpoint})
	unread := func(id string, err error) {
		o.Logger.Error("the packs of a repository could not be read", "repo_id", id, "error", err)
	}
	e.rotation = &maintain.Rotation{
		Git: o.Git, IDs: o.Store.RepositoryIDs, Path: e.repos.Path, Clock: o.Clock, Suspect: e.rebuild.Reverify, Failed: unread,
	}
	e.served = maintain.NewServed(maintain.ServedOptions{Git: o.Git, Path: e.repos.Path, Clock: o.Clock, Suspect: e.rebuild.Reverify, Failed: unread})
	e.sync = mirror.New(mirror.Options{
		Rebuilds: e.rebuild, Room: room, LFS: e.backlog,
		Git: o.Git, Repos: e.repos, Store: o.Store, Upstreams: e.upstreams, Monitor: e.monitor, Schedule: e.schedule, Clock: o.Clock, Logger: o.Logger, Mirrored: func(id string) { e.maintain.Due(id); e.usage.Due(id) },
		Ended: func(r core.Repository, run core.Run) {
			if schedule.UserInitiated(run.Trigger) {
				e.backlog.Hurry(r.ID) // who asks for a sync asks for its objects, too
			}
			o.Observer.Synced(r, run)
		},
		Missed: func() { e.inbound.CheckDue() },
	})
	e.looker = mirror.NewLooker(e.sync)
	e.events = events.New(events.Options{
		Store: o.Store, Clock: o.Clock, Logger: o.Logger, Policy: o.Webhooks, Resolver: o.Resolver, Progress: e.sync.Running,
		Tried: o.Observer.Delivered,
	})
	e.inbound = inbound.New(inbound.Options{
		Store: o.Store, Plugins: o.Plugins, Announcements: inbound.NewAnnouncer(o.Store, e.schedule, e.sync), Upstreams: e.monitor, Clock: o.Clock, Logger: o.Logger, PublicURL: o.PublicURL,
	})
	e.sets = mirrorset.New(mirrorset.Options{
		Store: o.Store, Upstreams: e.upstreams, Repositories: repositories{e}, Clock: o.Clock, Logger: o.Logger, Failpoint: e.repos.Failpoint,
	})
	e.push, err = push.New(push.Options{
		Git: o.Git, Repos: e.repos, Store: o.Store, Upstreams: e.upstreams, Clock: o.Clock, Logger: o.Logger,
		HooksDir: filepath.Join(o.DataDir, "run", "git-hooks"), WantSync: e.wantSync, MaxInputSize: o.MaxPushSize,
		Confirm: e.monitor.Admit, Follow: e.monitor.Follow, Accepted: e.monitor.Accepted, SettlePeriod: o.SettlePeriod,
		Finished: o.Observer.Pushed, Room: room,
	})
	if err != nil {
		return nil, err
	}
	// On the system's clock: how long a client waits is no matter of the dates
	// that the rest of the core reckons with.
	o.Limits.Queued = o.Observer.Queued
	if o.Limits.Server == 0 {
		o.Limits.Server = limit.PlacesFor(git.MachineMemory())
	}
	e.limiter = limit.New(o.Limits)
	e.serve = serve.New(serve.Options{
		Git: o.Git, Path: e.repos.Path, TempDir: e.repos.TempDir(), Suspect: e.rebuild.Suspect, Sent: e.served.Want, Refused: e.reach.Refused, Logger: o.Logger,
	})
	trees := treeobject.NewSizes(e.objects, o.Trees)
	e.content = content.New(content.Options{
		Git: o.Git, Objects: e.objects, Trees: trees, Path: e.repos.Path, Current: e.repos.Current, TempDir: e.repos.TempDir(), Refused: e.reach.Refused,
		Missed: e.served.Want, Looked: cached(CacheLastCommits),
	})
	e.commit = commit.New(commit.Options{
		Git: o.Git, Repos: e.repos, Objects: e.objects, Trees: trees, Revisions: e.content, Refs: e.push, LargeFiles: e.lfs, Clock: o.Clock, Logger: o.Logger,
		TempDir: e.repos.TempDir(), MaxSize: o.MaxPushSize,
	})
	e.rewrite = rewrite.New(rewrite.Options{
		Git: o.Git, Repos: e.repos, Store: o.Store, Branches: e.commit, Upstreams: e.upstreams, Clock: o.Clock, Logger: o.Logger, WantSync: e.wantSync,
	})
	e.copies = &forget.Registry{}
	e.purge = purge.New(purge.Options{Git: o.Git, Repos: e.repos, Store: o.Store, Copies: e.copies, Clock: o.Clock, Logger: o.Logger})
	e.copies.Add("processes that read objects", forget.Func(func(_ context.Context, r core.Repository, _ []core.ObjectID) error {
		e.objects.End(e.repos.Path(r.ID))
		return nil
	}))
	e.copies.Add("sizes of trees", forget.Func(func(context.Context, core.Repository, []core.ObjectID) error {
		trees.Forget()
		return nil
	}))
	e.copies.Add("last commits of files", e.content)
	e.copies.Add("folders in quarantine", e.purge.Quarantined(o.DataDir))
	e.copies.Add("trash", e.purge.Deleted())
	e.prune = prune.New(prune.Options{
		Store: o.Store, Objects: e.lfs, Scanner: scan.New(o.Git, e.objects), Git: o.Git, Path: e.repos.Path, Clock: o.Clock,
	})
	e.copies.Add("objects of LFS", e.prune)
	e.ephemeral = ephemeral.New(ephemeral.Options{
		Git: o.Git, Path: e.repos.Path, Store: o.Store, Refs: e.push, Clock: o.Clock, Logger: o.Logger,
	})
	return e, nil
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

// Services are the parts of the core that can be used one by one; what needs
// several of them is a method of [Engine].
type Services struct {
	Repos     *repo.Repos         // on disk
	Limiter   *limit.Limiter      // what bounds the requests of callers
	Serve     *serve.Service      // fetches
	Push      *push.Service       // write sessions
	Content   *content.Service    // API reads
	Commit    *commit.Service     // API writes
	Rewrites  *rewrite.Service    // what upstreams and pushes rewrote
	Purges    *purge.Service      // what is forgotten on purpose
	Copies    *forget.Registry    // what holds copies of objects; add others before Run
	Ephemeral *ephemeral.Service  // ephemeral branches as a whole
	Events    *events.Service     // webhooks and the event feed
	Inbound   *inbound.Service    // webhooks from hosts
	Sets      *mirrorset.Service  // owners whose repositories are mirrored all together
	Schedule  *schedule.Service   // requests of syncs, and waiting for them
	Mirror    *mirror.Service     // plans of syncs, and looks before pushes
	Rebuild   *rebuild.Service    // missing or damaged folders
	Maintain  *maintain.Service   // repacks
	Quotas    *quota.Service      // what organisations may use
	Public    *publicread.Service // what is read without a token
	LFS       *lfs.Service        // Git LFS
	LFSPrune  *prune.Service      // objects of it that no ref needs
	Readiness *Readiness          // whether requests can be served
}

// Services returns the parts.
func (e *Engine) Services() Services {
	return Services{
		Repos: e.repos, Limiter: e.limiter, Serve: e.serve, Push: e.push, Content: e.content, Commit: e.commit,
		Rewrites: e.rewrite, Purges: e.purge, Copies: e.copies, Ephemeral: e.ephemeral, Events: e.events, Inbound: e.inbound, Sets: e.sets,
		Schedule: e.schedule, Mirror: e.sync, Rebuild: e.rebuild, Maintain: e.maintain, Quotas: e.quota, Public: e.public, LFS: e.lfs, LFSPrune: e.prune, Readiness: e.readiness,
	}
}
