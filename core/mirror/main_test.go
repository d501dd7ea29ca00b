package mirror_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/core/inbound"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

func TestMain(m *testing.M) {
	// Every check makes a repository; the flag on the command line still wins.
	coretest.Checks(6, 100)
	coretest.Main(m)
}

// bench is a world with the sync service running on a clock of the test's own.
type bench struct {
	*coretest.World
	clock     *coretest.Clock
	sync      *mirror.Service
	schedule  *schedule.Service
	announcer *inbound.Announcer
	push      *push.Service
	ups       *upstreams
	// missed counts how often it was told that a webhook did not come.
	missed atomic.Int32

	stop    context.CancelFunc
	stopped chan struct{}
}

// upstreams are the real ones, with a function called at each contact.
type upstreams struct {
	*upstream.Service
	mu     sync.Mutex
	listed func() error // after a listing
	opened func() error // before a fetch or push
}

func (u *upstreams) hook(f *func() error) func() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if *f == nil {
		return func() error { return nil }
	}
	return *f
}

func (u *upstreams) set(f *func() error, to func() error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	*f = to
}

func (u *upstreams) Refs(ctx context.Context, r core.Repository, prefixes []string) (discovery.Advertisement, error) {
	adv, err := u.Service.Refs(ctx, r, prefixes)
	if err == nil {
		err = u.hook(&u.listed)()
	}
	return adv, err
}

func (u *upstreams) Do(ctx context.Context, r core.Repository, op providers.Operation, f func(r git.Remote) error) error {
	if op == providers.OpFetch {
		if err := u.hook(&u.opened)(); err != nil {
			return err
		}
	}
	return u.Service.Do(ctx, r, op, f)
}

func newBench(t *testing.T, o coretest.Options) *bench {
	t.Helper()
	clock := coretest.NewClock()
	o.Clock = clock
	b := &bench{World: coretest.NewWorld(t, o), clock: clock}
	b.ups = &upstreams{Service: b.Upstreams}
	b.start()
	t.Cleanup(func() { b.halt() })
	return b
}

// start makes the services anew and runs the scheduler.
func (b *bench) start() {
	b.Helper()
	b.schedule = schedule.New(schedule.Options{Store: b.Store, Upstreams: b.Upstreams, Clock: b.clock, Logger: b.Logger})
	b.sync = mirror.New(mirror.Options{
		Git: b.Git, Repos: b.Repos, Store: b.Store, Upstreams: b.ups, Schedule: b.schedule, Clock: b.clock, Logger: b.Logger,
		Missed: func() { b.missed.Add(1) },
	})
	b.announcer = inbound.NewAnnouncer(b.Store, b.schedule, b.sync)
	var err error
	b.push, err = push.New(push.Options{
		Git: b.Git, Repos: b.Repos, Store: b.Store, Upstreams: b.Upstreams, Clock: core.SystemClock{}, Logger: b.Logger, HooksDir: b.TempDir(),
		Confirm: b.sync.Confirm, Recheck: b.sync.Recheck, Accepted: b.sync.Accepted,
		SettlePeriod: 100 * time.Millisecond,
		WantSync:     func(ctx context.Context, id string) { _, _ = b.schedule.Request(ctx, id, schedule.TriggerPush, "") },
	})
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	b.stop, b.stopped = cancel, stopped
	s := b.sync
	go func() {
		defer close(stopped)
		_ = s.Serve(ctx)
	}()
}

// onceListed calls f between the next listing and what is made of it.
func (b *bench) onceListed(f func()) {
	var once sync.Once
	b.ups.set(&b.ups.listed, func() error {
		once.Do(f)
		return nil
	})
}

func (b *bench) halt() {
	b.stop()
	<-b.stopped
}

// run asks for a sync, waits for it, and returns its error.
func (b *bench) run(r core.Repository, ref string) error {
	b.Helper()
	gen, err := b.schedule.Request(context.Background(), r.ID, schedule.TriggerAPI, ref)
	require.NoError(b, err)
	return b.wait(r, gen)
}

func (b *bench) wait(r core.Repository, gen int64) error {
	b.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), 3*time.Minute, fmt.Errorf("the sync does not end"))
	defer cancel()
	return b.schedule.Wait(ctx, r.ID, gen)
}

// mirrored makes a repository whose upstream has main and whose first mirror
// has been made.
func (b *bench) mirrored(name string) (r core.Repository, one core.ObjectID) {
	b.Helper()
	r = b.Synced(name)
	one = b.ForgeCommit(r, "refs/heads/main", "one")
	require.NoError(b, b.run(r, ""))
	b.equal(r)
	return r, one
}

// equal requires that public refs, tracking refs and the upstream agree.
func (b *bench) equal(r core.Repository) {
	b.Helper()
	want := b.UpstreamRefs(r)
	require.Equal(b, want, b.Refs(r))
	tracking := map[string]core.ObjectID{}
	for name, id := range want {
		tracking[core.TrackingRef(name)] = id
	}
	require.Equal(b, tracking, b.Refs(r, core.TrackingPrefix))
}

func (b *bench) state(r core.Repository) core.SyncState {
	b.Helper()
	s, err := b.Store.SyncState(context.Background(), r.ID)
	require.NoError(b, err)
	return s
}

// runs returns the repository's runs, newest first.
func (b *bench) runs(r core.Repository) []core.Run {
	b.Helper()
	runs, err := b.Store.Runs(context.Background(), r.ID, "", 2000)
	require.NoError(b, err)
	return runs
}

// session pushes one update and returns the reason of a refusal.
func (b *bench) session(r core.Repository, updates ...core.RefUpdate) []push.Result {
	b.Helper()
	results, err := b.push.Write(context.Background(), push.Session{Repo: b.Reload(r), Source: core.SourcePush, Actor: core.Actor{Subject: "t"}, Updates: updates})
	require.NoError(b, err)
	return results
}

// settle lets the scheduler do what is left, moving the clock over its pauses.
func (b *bench) settle(r core.Repository) {
	b.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for s := b.state(r); s.Served < s.Wanted; s = b.state(r) {
		require.True(b, time.Now().Before(deadline), "%+v", s)
		n, more := b.clock.Timers()
		if n > 0 && !s.NextAttemptAt.IsZero() {
			b.clock.Advance(max(s.NextAttemptAt.Sub(b.clock.Now()), time.Millisecond))
		}
		select {
		case <-more:
		case <-time.After(5 * time.Millisecond):
		}
	}
}
