package rewrite_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/content"
	"github.com/headwater-git/headwater/core/git/catfile"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/core/rewrite"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers/forgetest"
)

func TestMain(m *testing.M) {
	// Every check makes a repository; the flag on the command line still wins.
	coretest.Checks(6, 60)
	coretest.Main(m)
}

// bench is a world in which everything that moves refs runs, on a clock of the
// test's own.
type bench struct {
	*coretest.World
	clock    *coretest.Clock
	sync     *mirror.Service
	schedule *schedule.Service
	push     *push.Service
	stop     func()
	*rewrite.Service
}

func newBench(t *testing.T, o coretest.Options) *bench {
	t.Helper()
	clock := coretest.NewClock()
	o.Clock = clock
	b := &bench{World: coretest.NewWorld(t, o), clock: clock}
	b.build()
	t.Cleanup(func() { b.stop() })
	return b
}

// build makes the services and runs the syncs.
func (b *bench) build() {
	b.Helper()
	wantSync := func(ctx context.Context, id string) { _, _ = b.schedule.Request(ctx, id, schedule.TriggerPush, "") }
	b.schedule = schedule.New(schedule.Options{Store: b.Store, Upstreams: b.Upstreams, Clock: b.clock, Logger: b.Logger})
	monitor := upstream.NewMonitor(upstream.MonitorOptions{Hosts: b.Upstreams, Store: b.Store, Schedule: b.schedule, Clock: b.clock, Logger: b.Logger})
	b.sync = mirror.New(mirror.Options{Git: b.Git, Repos: b.Repos, Store: b.Store, Upstreams: b.Upstreams, Monitor: monitor, Schedule: b.schedule, Clock: b.clock, Logger: b.Logger})
	var err error
	b.push, err = push.New(push.Options{
		Git: b.Git, Repos: b.Repos, Store: b.Store, Upstreams: b.Upstreams, Clock: core.SystemClock{}, Logger: b.Logger,
		HooksDir: filepath.Join(b.Dir, "run", "git-hooks"), WantSync: wantSync,
	})
	require.NoError(b, err)
	pool := catfile.NewPool(b.Git, catfile.Options{})
	branches := commit.New(commit.Options{
		Git: b.Git, Repos: b.Repos, Objects: pool, Refs: b.push, Clock: b.clock, Logger: b.Logger, TempDir: b.Repos.TempDir(),
		Revisions: content.New(content.Options{Git: b.Git, Objects: pool, Path: b.Repos.Path, TempDir: b.Repos.TempDir()}),
	})
	b.Service = rewrite.New(rewrite.Options{
		Git: b.Git, Repos: b.Repos, Store: b.Store, Branches: branches, Upstreams: b.Upstreams, Clock: b.clock, Logger: b.Logger, WantSync: wantSync,
	})
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func(s *mirror.Service) {
		defer close(stopped)
		_ = s.Serve(ctx)
	}(b.sync)
	b.stop = sync.OnceFunc(func() {
		cancel()
		<-stopped
		_ = pool.Close()
	})
}

// mirrored makes a repository whose upstream has main, mirrored here.
func (b *bench) mirrored(name string) (r core.Repository, one core.ObjectID) {
	b.Helper()
	r = b.Synced(name)
	one = b.ForgeCommit(r, "refs/heads/main", "one")
	b.run(r)
	return r, one
}

// run asks for a sync and waits for it; it returns the run.
func (b *bench) run(r core.Repository) core.Run {
	b.Helper()
	gen, err := b.schedule.Request(b.Context(), r.ID, schedule.TriggerAPI, "")
	require.NoError(b, err)
	require.NoError(b, coretest.Patiently(b, "the sync", func(ctx context.Context) error { return b.schedule.Wait(ctx, r.ID, gen) }))
	runs, err := b.Store.Runs(b.Context(), r.ID, "", 1)
	require.NoError(b, err)
	return runs[0]
}

// noFetch requires that a sync sees from the listing alone that nothing is to do.
func (b *bench) noFetch(r core.Repository) {
	b.Helper()
	b.Forge.ForgetRequests()
	require.Equal(b, "unchanged", b.run(r).Outcome)
	require.Zero(b, b.Forge.Count(forgetest.KindFetch))
}

// restart opens repositories and services anew, as another process does.
func (b *bench) restart() {
	b.Helper()
	b.stop()
	b.Open()
	require.NoError(b, b.Repos.Recover(b.Context()))
	b.build()
	require.NoError(b, b.push.Survey(b.Context()))
}

func (b *bench) set(r core.Repository, s core.Settings) {
	b.Helper()
	require.NoError(b, b.Store.SaveSettings(context.Background(), r.ID, s))
}

// policy sets one policy for all refs that the pattern means.
func (b *bench) policy(r core.Repository, pattern string, action core.RefAction) {
	b.Helper()
	b.set(r, core.Settings{RefPolicies: []core.RefPolicy{{Pattern: pattern, Action: action}}})
}

// rows returns the rewrites of the repository in the order of the fake clock:
// oldest first.
func (b *bench) rows(r core.Repository, states ...core.RewriteState) []core.Rewrite {
	b.Helper()
	rows, err := b.List(context.Background(), core.RewriteFilter{RepoID: r.ID, States: states, Limit: 1000})
	require.NoError(b, err)
	for i, j := 0, len(rows)-1; i < j; i, j = i+1, j-1 {
		rows[i], rows[j] = rows[j], rows[i]
	}
	return rows
}

// only returns the one rewrite in a state.
func (b *bench) only(r core.Repository, state core.RewriteState) core.Rewrite {
	b.Helper()
	rows := b.rows(r, state)
	require.Len(b, rows, 1, "%v", b.rows(r))
	return rows[0]
}

// write pushes updates past the wire.
func (b *bench) write(r core.Repository, updates ...core.RefUpdate) []push.Result {
	b.Helper()
	results, err := b.push.Write(context.Background(), push.Session{Repo: b.Reload(r), Source: core.SourcePush, Updates: updates})
	require.NoError(b, err)
	return results
}

func (b *bench) caller(r core.Repository) commit.Caller {
	b.Helper()
	return commit.Caller{Repo: b.Reload(r)}
}

// kept returns the hidden refs of old tips.
func (b *bench) kept(r core.Repository) map[string]core.ObjectID {
	b.Helper()
	return b.Refs(r, core.KeptPrefix)
}

// scour does the harshest maintenance that git can: everything that no ref
// holds is gone at once.
func (b *bench) scour(r core.Repository) {
	b.Helper()
	coretest.Run(b, b.Path(r), "reflog", "expire", "--expire=now", "--all")
	coretest.Run(b, b.Path(r), "repack", "-a", "-d", "-q", "--cruft", "--cruft-expiration=now")
	coretest.Run(b, b.Path(r), "prune", "--expire=now")
	coretest.Run(b, b.Path(r), "pack-refs", "--all")
}

// events returns the types of the rewrite events of the repository, in order.
func (b *bench) events(r core.Repository) []string {
	b.Helper()
	all, err := b.Store.Events(context.Background(), 0, 10000)
	require.NoError(b, err)
	var types []string
	for _, e := range all {
		if e.RepoID == r.ID && (e.Type == core.EventRefRewritten || e.Type == core.EventRefHeld) {
			types = append(types, e.Type+" "+e.Ref)
		}
	}
	return types
}
