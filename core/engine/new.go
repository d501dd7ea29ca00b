package engine

import (
	"context"
	"path/filepath"

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
)

// builder makes the parts of an [Engine]. Each of its methods makes those whose parts
// exist by then; what comes later is reached through the engine, once it runs.
type builder struct {
	*Engine
	o     Options
	trees *treeobject.Sizes
}

// New builds the parts and connects them.
func New(o Options) (*Engine, error) {
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	b := &builder{o: o, Engine: &Engine{git: o.Git, clock: o.Clock, log: o.Logger, discover: discovery.New(o.Agent), keepDeleted: o.KeepDeleted}}
	if err := b.makeRepositories(); err != nil {
		return nil, err
	}
	if err := b.makeUpstreams(); err != nil {
		return nil, err
	}
	b.makeUpkeep()
	b.makeMirror()
	b.makeBounds()
	if err := b.makeCalls(); err != nil {
		return nil, err
	}
	b.makePurge()
	return b.Engine, nil
}

// cached returns what reports each look into a cache to the observer.
func (b *builder) cached(c Cache) func(found bool) {
	return func(found bool) { b.o.Observer.Cached(c, found) }
}

// room returns an error if the organisation of a repository has used its storage up.
func (b *builder) room(ctx context.Context, r core.Repository) error {
	return b.quota.CheckRoom(ctx, r.Org)
}

// makeRepositories makes what is on disk, and what counts its size.
func (b *builder) makeRepositories() error {
	e, o := b.Engine, &b.o
	e.objects = catfile.NewPool(o.Git, catfile.Options{Looked: b.cached(CacheReaders)})
	var err error
	e.repos, err = repo.Open(repo.Options{
		Root: o.DataDir, Git: o.Git, Store: o.Store, Clock: o.Clock, Locker: repo.NewLocker(), Logger: o.Logger, Failpoint: o.Failpoint,
		Objects: e.objects, CommitPoint: o.CommitPoint,
	})
	if err != nil {
		return err
	}
	// Only what changes refs has the store itself: a commit point may keep tables in it.
	o.Store = describing{o.Store, e.describe}
	e.store = o.Store
	e.maintain = maintain.New(o.Git, e.repos, o.Clock, o.Logger)
	e.quota = quota.New(o.Store, o.Clock)
	e.public = publicread.New(o.Store, e.quota.Limits)
	e.usage = usage.New(usage.Options{Store: o.Store, Path: e.repos.Path, Clock: o.Clock, Logger: o.Logger})
	return nil
}

// makeUpstreams makes what reaches hosts: their schedule, their state, and Git LFS, whose
// objects may be there alone.
func (b *builder) makeUpstreams() error {
	e, o := b.Engine, &b.o
	e.upstreams = upstream.New(o.Plugins, o.Store, o.Resolver, e.discover)
	e.schedule = schedule.New(schedule.Options{Store: o.Store, Upstreams: e.upstreams, Clock: o.Clock, Logger: o.Logger})
	e.monitor = upstream.NewMonitor(upstream.MonitorOptions{Hosts: e.upstreams, Store: o.Store, Schedule: e.schedule, Clock: o.Clock, Logger: o.Logger})
	e.lfsRemote = remote.New(remote.Options{Upstreams: e.upstreams, Links: e.monitor, Hosts: e.schedule, Clock: o.Clock, Resolver: o.Resolver, Agent: o.Agent})
	var err error
	e.lfs, err = lfs.New(lfs.Options{
		Dir: filepath.Join(o.DataDir, lfs.FolderName), Store: o.Store, Room: b.room, Changed: e.usage.Due, Clock: o.Clock, Logger: o.Logger.Named("lfs"),
		Failpoint: e.repos.Failpoint, Failure: upstream.Failure,
		Upstream: func(_ context.Context, r core.Repository) (lfs.Upstream, error) { return e.lfsRemote.For(r), nil },
	})
	if err != nil {
		return err
	}
	e.backlog = backlog.New(backlog.Options{
		Store: o.Store, Objects: e.lfs, Scanner: scan.New(o.Git, e.objects), Git: o.Git, Path: e.repos.Path, Hosts: e.schedule, Clock: o.Clock,
		Logger:  o.Logger.Named("lfs"),
		Arrived: func(ctx context.Context, id string) { e.requestSync(ctx, id, schedule.TriggerRecovery) },
	})
	return nil
}

// makeUpkeep makes what looks after repositories by itself.
func (b *builder) makeUpkeep() {
	e, o := b.Engine, &b.o
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
}

// makeMirror makes what follows upstreams and announces what changed.
func (b *builder) makeMirror() {
	e, o := b.Engine, &b.o
	e.sync = mirror.New(mirror.Options{
		Rebuilds: e.rebuild, Room: b.room, LFS: e.backlog,
		Git: o.Git, Repos: e.repos, Store: o.Store, Upstreams: e.upstreams, Monitor: e.monitor, Schedule: e.schedule, Clock: o.Clock, Logger: o.Logger,
		Mirrored: func(id string) { e.maintain.Due(id); e.usage.Due(id) },
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
		Store: o.Store, Plugins: o.Plugins, Announcements: inbound.NewAnnouncer(o.Store, e.schedule, e.sync), Upstreams: e.monitor,
		Clock: o.Clock, Logger: o.Logger, PublicURL: o.PublicURL,
	})
	e.sets = mirrorset.New(mirrorset.Options{
		Store: o.Store, Upstreams: e.upstreams, Repositories: repositories{e}, Clock: o.Clock, Logger: o.Logger, Failpoint: e.repos.Failpoint,
	})
}

// makeBounds makes what bounds requests, and serves fetches.
func (b *builder) makeBounds() {
	e, o := b.Engine, &b.o
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
}

// makeCalls makes what reads and writes content for callers.
func (b *builder) makeCalls() error {
	e, o := b.Engine, &b.o
	var err error
	e.push, err = push.New(push.Options{
		Git: o.Git, Repos: e.repos, Store: o.Store, Upstreams: e.upstreams, Clock: o.Clock, Logger: o.Logger,
		HooksDir: filepath.Join(o.DataDir, "run", "git-hooks"), WantSync: e.wantSync, MaxInputSize: o.MaxPushSize,
		Confirm: e.monitor.Admit, Follow: e.monitor.Follow, Accepted: e.monitor.Accepted, SettlePeriod: o.SettlePeriod,
		Finished: o.Observer.Pushed, Room: b.room,
	})
	if err != nil {
		return err
	}
	b.trees = treeobject.NewSizes(e.objects, o.Trees)
	e.content = content.New(content.Options{
		Git: o.Git, Objects: e.objects, Trees: b.trees, Path: e.repos.Path, Current: e.repos.Current, TempDir: e.repos.TempDir(), Refused: e.reach.Refused,
		Missed: e.served.Want, Looked: b.cached(CacheLastCommits),
	})
	e.commit = commit.New(commit.Options{
		Git: o.Git, Repos: e.repos, Objects: e.objects, Trees: b.trees, Revisions: e.content, Refs: e.push, LargeFiles: e.lfs, Clock: o.Clock, Logger: o.Logger,
		TempDir: e.repos.TempDir(), MaxSize: o.MaxPushSize,
	})
	e.rewrite = rewrite.New(rewrite.Options{
		Git: o.Git, Repos: e.repos, Store: o.Store, Branches: e.commit, Upstreams: e.upstreams, Clock: o.Clock, Logger: o.Logger, WantSync: e.wantSync,
	})
	e.ephemeral = ephemeral.New(ephemeral.Options{
		Git: o.Git, Path: e.repos.Path, Store: o.Store, Refs: e.push, Clock: o.Clock, Logger: o.Logger,
	})
	return nil
}

// makePurge makes what forgets objects, and names every copy of them to it.
func (b *builder) makePurge() {
	e, o := b.Engine, &b.o
	e.copies = &forget.Registry{}
	e.purge = purge.New(purge.Options{Git: o.Git, Repos: e.repos, Store: o.Store, Copies: e.copies, Clock: o.Clock, Logger: o.Logger})
	e.copies.Add("processes that read objects", forget.Func(func(_ context.Context, r core.Repository, _ []core.ObjectID) error {
		e.objects.End(e.repos.Path(r.ID))
		return nil
	}))
	e.copies.Add("sizes of trees", forget.Func(func(context.Context, core.Repository, []core.ObjectID) error {
		b.trees.Forget()
		return nil
	}))
	e.copies.Add("last commits of files", e.content)
	e.copies.Add("folders in quarantine", e.purge.Quarantined(o.DataDir))
	e.copies.Add("trash", e.purge.Deleted())
	e.prune = prune.New(prune.Options{
		Store: o.Store, Objects: e.lfs, Scanner: scan.New(o.Git, e.objects), Git: o.Git, Path: e.repos.Path, Clock: o.Clock,
	})
	e.copies.Add("objects of LFS", e.prune)
}
