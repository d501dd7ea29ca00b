package schedule_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/schedule"
)

func TestMain(m *testing.M) { coretest.Main(m) }

// patience is how long a test waits for what must happen without the clock.
const patience = time.Minute

// bench is a store and a scheduler on a clock of the test's own, with a worker that
// serves every run and records every look.
type bench struct {
	*coretest.World
	clock *coretest.Clock
	s     *schedule.Service

	mu     sync.Mutex
	limits map[string]int // by host
	log    []schedule.Item
	// work is called in the middle of every item; nil: nothing is.
	work func(ctx context.Context, item schedule.Item, promote func() bool)
	now  map[string]int // items under way, by host
	most map[string]int // the most there were at once
}

func newBench(t *testing.T, o schedule.Options, wrap ...func(schedule.Store) schedule.Store) *bench {
	t.Helper()
	clock := coretest.NewClock()
	b := &bench{
		World: coretest.NewWorld(t, coretest.Options{Clock: clock}), clock: clock,
		limits: map[string]int{}, now: map[string]int{}, most: map[string]int{},
	}
	o.Store, o.Upstreams, o.Clock, o.Logger = b.Store, b, clock, b.Logger
	for _, f := range wrap {
		o.Store = f(o.Store)
	}
	b.s = schedule.New(o)
	return b
}

// start runs the scheduler until the end of the test.
func (b *bench) start() {
	b.Helper()
	b.startWith(b)
}

// startWith runs the scheduler with a worker until the end of the test.
func (b *bench) startWith(w schedule.Worker) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = b.s.Run(ctx, w)
	}()
	b.Cleanup(func() {
		cancel()
		<-stopped
	})
}

// Limit implements [schedule.Upstreams].
func (b *bench) Limit(up core.Upstream) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.limits[up.Host]
}

// Poll implements [schedule.Upstreams].
func (*bench) Poll(core.Upstream) string { return core.PollOff }

// Run implements [schedule.Worker].
func (b *bench) Run(ctx context.Context, item schedule.Item) schedule.Result {
	defer b.enter(item)()
	state, err := b.Store.TakeSync(context.WithoutCancel(ctx), item.RepoID)
	if err != nil {
		return schedule.Result{Err: err}
	}
	b.middle(ctx, item, nil)
	state.Served = state.Wanted
	if ctx.Err() != nil {
		return schedule.Result{Generation: state.Wanted, Err: ctx.Err()}
	}
	return schedule.Result{Generation: state.Wanted, Err: b.Store.FinishSync(context.WithoutCancel(ctx), state)}
}

// Look implements [schedule.Worker].
func (b *bench) Look(ctx context.Context, item schedule.Item, promote func() bool) schedule.Result {
	defer b.enter(item)()
	b.middle(ctx, item, promote)
	if ctx.Err() != nil {
		return schedule.Result{}
	}
	if err := b.Store.SetPoll(context.WithoutCancel(ctx), item.RepoID, time.Time{}); err != nil {
		b.Error(err)
	}
	return schedule.Result{}
}

func (b *bench) middle(ctx context.Context, item schedule.Item, promote func() bool) {
	b.mu.Lock()
	work := b.work
	b.mu.Unlock()
	if work != nil {
		work(ctx, item, promote)
	}
}

func (b *bench) enter(item schedule.Item) (leave func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, item)
	b.now[item.Host]++
	b.most[item.Host] = max(b.most[item.Host], b.now[item.Host])
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.now[item.Host]--
	}
}

// count returns how many items of a kind have started.
func (b *bench) count(kind schedule.Kind) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, item := range b.log {
		if item.Kind == kind {
			n++
		}
	}
	return n
}

// repos makes synced repositories at a host, whose first sync is done.
func (b *bench) repos(host string, n int) []string {
	b.Helper()
	ids := make([]string, n)
	require.NoError(b, b.Store.Tx(context.Background(), func(q core.Queries) error {
		for i := range ids {
			now := b.clock.Now()
			r := core.Repository{
				ID: core.NewID("repo", now), Org: coretest.Org, Name: fmt.Sprint(host, i), DefaultBranch: "main", ObjectFormat: "sha1", CreatedAt: now,
				Upstream: &core.Upstream{Provider: "p", Instance: "i", Host: host, Owner: "o", Name: fmt.Sprint(i)},
			}
			if err := q.CreateRepository(context.Background(), r); err != nil {
				return err
			}
			if err := q.FinishSync(context.Background(), core.SyncState{RepoID: r.ID, FirstSyncedAt: now, ChangedAt: now}); err != nil {
				return err
			}
			ids[i] = r.ID
		}
		return nil
	}))
	return ids
}

func (b *bench) request(id, trigger string) int64 {
	b.Helper()
	gen, err := b.s.Request(context.Background(), id, trigger, "")
	require.NoError(b, err)
	return gen
}

func (b *bench) wait(id string, gen int64) {
	b.Helper()
	ctx, cancel := context.WithTimeoutCause(context.Background(), patience, fmt.Errorf("a request was not served although it could be"))
	defer cancel()
	require.NoError(b, b.s.Wait(ctx, id, gen))
}

// eventually waits for a condition without moving the clock.
func (b *bench) eventually(what string, f func() bool) {
	b.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		require.True(b, time.Now().Before(end), what)
	}
}

// state returns the row of a repository.
func (b *bench) state(id string) core.SyncState {
	b.Helper()
	s, err := b.Store.SyncState(context.Background(), id)
	require.NoError(b, err)
	return s
}
