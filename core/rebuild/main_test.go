package rebuild_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror"
	"github.com/headwater-git/headwater/core/rebuild"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/core/upstream"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// bench is a world in which damaged repositories are rebuilt by their syncs.
type bench struct {
	*coretest.World
	clock    *coretest.Clock
	rebuild  *rebuild.Service
	schedule *schedule.Service
	monitor  *upstream.Monitor
	sync     *mirror.Service
	halt     func()
}

func newBench(t *testing.T, o coretest.Options) *bench {
	t.Helper()
	b := &bench{clock: coretest.NewClock()}
	o.Clock = b.clock
	b.World = coretest.NewWorld(t, o)
	b.start()
	t.Cleanup(func() { b.halt() })
	return b
}

// start makes the services anew, as a start of the server does, and runs them.
func (b *bench) start() {
	b.Helper()
	b.assemble()
	b.serve()
}

func (b *bench) assemble() {
	b.Helper()
	b.schedule = schedule.New(schedule.Options{Store: b.Store, Upstreams: b.Upstreams, Clock: b.clock, Logger: b.Logger})
	b.rebuild = rebuild.New(rebuild.Options{
		Git: b.Git, Repos: b.Repos, Store: b.Store, Clock: b.clock, Logger: b.Logger,
		WantSync: func(ctx context.Context, id string) {
			_, err := b.schedule.Request(ctx, id, schedule.TriggerRecovery, "")
			require.NoError(b, err)
		},
	})
	b.Git.OnDamaged(b.rebuild.SuspectFolder)
	b.monitor = upstream.NewMonitor(upstream.MonitorOptions{Hosts: b.Upstreams, Store: b.Store, Schedule: b.schedule, Clock: b.clock, Logger: b.Logger})
	b.sync = mirror.New(mirror.Options{
		Git: b.Git, Repos: b.Repos, Store: b.Store, Upstreams: b.Upstreams,
		Monitor: b.monitor, Schedule: b.schedule, Clock: b.clock, Logger: b.Logger, Rebuilds: b.rebuild,
	})
	require.NoError(b, b.Repos.Recover(b.Context()))
	require.NoError(b, b.rebuild.Survey(b.Context()))
}

// serve runs the services until halt.
func (b *bench) serve() {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	for _, run := range []func(context.Context) error{b.sync.Serve, b.rebuild.Run} {
		go func() {
			_ = run(ctx)
			done <- struct{}{}
		}()
	}
	b.halt = func() {
		cancel()
		<-done
		<-done
		b.halt = func() {}
	}
}

// restart ends the services and starts them anew on the same data.
func (b *bench) restart() {
	b.Helper()
	b.halt()
	b.Open()
	b.start()
}

// mirrored makes a repository whose upstream has main and a topic, with what the
// upstream does not have: a note, an ephemeral branch and a kept tip.
func (b *bench) mirrored(name string) (r core.Repository, own map[string]core.ObjectID) {
	b.Helper()
	r = b.Synced(name)
	one := b.ForgeCommit(r, "refs/heads/main", "one")
	b.ForgeCommit(r, "refs/heads/topic", "topic", one)
	require.NoError(b, b.run(r))
	return b.Reload(r), b.give(r)
}

// give puts what is ours alone into a repository, in a pack of its own as a push does.
func (b *bench) give(r core.Repository) map[string]core.ObjectID {
	b.Helper()
	dir := b.Path(r)
	main := b.Refs(r)["refs/heads/main"]
	row := core.Rewrite{
		ID: core.NewID("rw", b.clock.Now()), RepoID: r.ID, JournalID: "jrn_x", Ref: "refs/heads/topic", Old: coretest.Commit(b, dir, "old topic", main),
		New: main, Source: core.SourceSync, Actor: core.SystemSubject, State: core.RewriteRetained, CreatedAt: b.clock.Now(), ExpiresAt: b.clock.Now().Add(time.Hour),
	}
	require.NoError(b, b.Store.AddRewrite(b.Context(), row))
	own := map[string]core.ObjectID{
		"refs/notes/commits":                      coretest.Commit(b, dir, "a note"),
		core.EphemeralPrefix + "refs/heads/draft": coretest.Commit(b, dir, "a draft", main),
		row.KeptRef():                             row.Old,
	}
	for ref, id := range own {
		ns, name := core.Default, ref
		if draft, ok := strings.CutPrefix(ref, core.EphemeralPrefix); ok {
			ns, name = core.Ephemeral, draft
		}
		o, err := b.Repos.Transact(b.Context(), repo.Intent{
			Repo: r, Namespace: ns, Source: core.SourcePush, Actor: "t", Updates: []core.RefUpdate{{Name: name, New: id}},
		})
		require.NoError(b, errors.Join(err, o.Err))
	}
	return own
}

// ours returns the refs that no upstream has.
func (b *bench) ours(r core.Repository) map[string]core.ObjectID {
	b.Helper()
	return b.Refs(r, "refs/notes/", core.EphemeralPrefix, core.KeptPrefix)
}

// run asks for a sync and waits for its end.
func (b *bench) run(r core.Repository) error {
	b.Helper()
	gen, err := b.schedule.Request(b.Context(), r.ID, schedule.TriggerAPI, "")
	require.NoError(b, err)
	return coretest.Patiently(b, "the sync", func(ctx context.Context) error { return b.schedule.Wait(ctx, r.ID, gen) })
}

// rebuilt waits until the repository is whole again, and returns what became of the
// damage.
func (b *bench) rebuilt(r core.Repository) core.Damage {
	b.Helper()
	last := b.ended(r)
	require.NoError(b, b.run(r))
	require.Equal(b, b.UpstreamRefs(r), b.Refs(r))
	return last
}

// ended is rebuilt for a repository whose refs are not all those of its upstream.
func (b *bench) ended(r core.Repository) core.Damage {
	b.Helper()
	var last core.Damage
	require.Eventually(b, func() bool {
		var err error
		last, err = b.Store.LastDamage(context.Background(), r.ID)
		_, open := b.rebuild.Of(r)
		return err == nil && !last.State.Open() && !open
	}, time.Minute, 5*time.Millisecond)
	require.Equal(b, core.DamageRebuilt, last.State, "%+v", last)
	require.NoError(b, b.rebuild.Check(r))
	v, err := b.Git.Verify(b.Context(), b.Path(r))
	require.NoError(b, err)
	require.Equal(b, git.Verification{}, v)
	return last
}

// events returns the types of the events about a repository, without those of syncs.
func (b *bench) events(r core.Repository) []string {
	b.Helper()
	all, err := b.Store.Events(context.Background(), 0, 10000)
	require.NoError(b, err)
	var types []string
	for _, e := range all {
		if e.RepoID == r.ID && (e.Type == core.EventPush || e.Type == core.EventRepositoryDamaged || e.Type == core.EventRepositoryRebuilt) {
			types = append(types, e.Type)
		}
	}
	return types
}

// repack puts all objects into one pack and returns its path.
func (b *bench) repack(r core.Repository) string {
	b.Helper()
	coretest.Run(b, b.Path(r), "repack", "-a", "-d", "-q")
	packs, err := filepath.Glob(filepath.Join(b.Path(r), "objects", "pack", "*.pack"))
	require.NoError(b, err)
	require.Len(b, packs, 1)
	return packs[0]
}

// change rewrites a file that git made read-only.
func change(t testing.TB, path string, f func(content []byte) []byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.WriteFile(path, f(content), 0o600))
}
