package mirrortest

import (
	"context"
	"encoding/json"
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

// Bench is a world with schedule, mirror and monitor running on a clock of the test's
// own. Make one with [New].
type Bench struct {
	*coretest.World
	Clock     *coretest.Clock
	Mirror    *mirror.Service
	Monitor   *upstream.Monitor
	Schedule  *schedule.Service
	Announcer *inbound.Announcer
	Push      *push.Service
	// Missed counts the webhooks that were noticed as missing.
	Missed atomic.Int32

	contacts *contacts
	stop     context.CancelFunc
	stopped  chan struct{}
}

// contacts are contacts with the real upstreams, and a function that is called at each.
type contacts struct {
	*upstream.Service
	mu     sync.Mutex
	listed func() error // after a listing
	opened func() error // before a fetch or push
}

func (u *contacts) hook(f *func() error) func() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if *f == nil {
		return func() error { return nil }
	}
	return *f
}

func (u *contacts) set(f *func() error, to func() error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	*f = to
}

func (u *contacts) Refs(ctx context.Context, r core.Repository, prefixes []string) (discovery.Advertisement, error) {
	adv, err := u.Service.Refs(ctx, r, prefixes)
	if err == nil {
		err = u.hook(&u.listed)()
	}
	return adv, err
}

func (u *contacts) Do(ctx context.Context, r core.Repository, op providers.Operation, f func(r git.Remote) error) error {
	if op == providers.OpFetch {
		if err := u.hook(&u.opened)(); err != nil {
			return err
		}
	}
	return u.Service.Do(ctx, r, op, f)
}

// New makes a world and starts its services. They end with the test.
func New(t testing.TB, o coretest.Options) *Bench {
	t.Helper()
	clock := coretest.NewClock()
	o.Clock = clock
	b := &Bench{World: coretest.NewWorld(t, o), Clock: clock}
	b.contacts = &contacts{Service: b.Upstreams}
	b.Start()
	t.Cleanup(func() { b.Halt() })
	return b
}

// Start makes the services anew and runs the scheduler.
func (b *Bench) Start() {
	b.Helper()
	b.Schedule = schedule.New(schedule.Options{Store: b.Store, Upstreams: b.Upstreams, Clock: b.Clock, Logger: b.Logger})
	b.Monitor = upstream.NewMonitor(upstream.MonitorOptions{Hosts: b.contacts, Store: b.Store, Schedule: b.Schedule, Clock: b.Clock, Logger: b.Logger})
	b.Mirror = mirror.New(mirror.Options{
		Git: b.Git, Repos: b.Repos, Store: b.Store, Upstreams: b.contacts, Monitor: b.Monitor, Schedule: b.Schedule, Clock: b.Clock, Logger: b.Logger,
		Missed: func() { b.Missed.Add(1) },
	})
	b.Announcer = inbound.NewAnnouncer(b.Store, b.Schedule, b.Mirror)
	var err error
	b.Push, err = push.New(push.Options{
		Git: b.Git, Repos: b.Repos, Store: b.Store, Upstreams: b.Upstreams, Clock: core.SystemClock{}, Logger: b.Logger, HooksDir: b.TempDir(),
		Confirm: b.Monitor.Admit, Follow: b.Monitor.Follow, Accepted: b.Monitor.Accepted,
		SettlePeriod: 100 * time.Millisecond,
		WantSync:     func(ctx context.Context, id string) { _, _ = b.Schedule.Request(ctx, id, schedule.TriggerPush, "") },
	})
	require.NoError(b, err)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	b.stop, b.stopped = cancel, stopped
	s := b.Mirror
	go func() {
		defer close(stopped)
		_ = s.Serve(ctx)
	}()
}

// OnListed has f called after each listing, which fails with its error; nil: nothing is.
func (b *Bench) OnListed(f func() error) { b.contacts.set(&b.contacts.listed, f) }

// OnOpened has f called before each fetch, which fails with its error; nil: nothing is.
func (b *Bench) OnOpened(f func() error) { b.contacts.set(&b.contacts.opened, f) }

// OnceListed calls f between the next listing and what is made of it.
func (b *Bench) OnceListed(f func()) {
	var once sync.Once
	b.OnListed(func() error {
		once.Do(f)
		return nil
	})
}

// Halt stops the services and waits until they have ended.
func (b *Bench) Halt() {
	b.stop()
	<-b.stopped
}

// Sync asks for a sync, waits for it, and returns its error.
func (b *Bench) Sync(r core.Repository, ref string) error {
	b.Helper()
	gen, err := b.Schedule.Request(context.Background(), r.ID, schedule.TriggerAPI, ref)
	require.NoError(b, err)
	return b.Wait(r, gen)
}

func (b *Bench) Wait(r core.Repository, gen int64) error {
	b.Helper()
	return coretest.Patiently(b, "the sync", func(ctx context.Context) error { return b.Schedule.Wait(ctx, r.ID, gen) })
}

// Mirrored makes a repository whose upstream has main and whose first mirror
// has been made.
func (b *Bench) Mirrored(name string) (r core.Repository, one core.ObjectID) {
	b.Helper()
	r = b.Synced(name)
	one = b.ForgeCommit(r, "refs/heads/main", "one")
	require.NoError(b, b.Sync(r, ""))
	b.RequireEqual(r)
	return r, one
}

// RequireEqual requires that public refs, tracking refs and the upstream agree.
func (b *Bench) RequireEqual(r core.Repository) {
	b.Helper()
	want := b.UpstreamRefs(r)
	require.Equal(b, want, b.Refs(r))
	tracking := map[string]core.ObjectID{}
	for name, id := range want {
		tracking[core.TrackingRef(name)] = id
	}
	require.Equal(b, tracking, b.Refs(r, core.TrackingPrefix))
}

func (b *Bench) State(r core.Repository) core.SyncState {
	b.Helper()
	s, err := b.Store.SyncState(context.Background(), r.ID)
	require.NoError(b, err)
	return s
}

// Runs returns the repository's runs, newest first.
func (b *Bench) Runs(r core.Repository) []core.Run {
	b.Helper()
	runs, err := b.Store.Runs(context.Background(), r.ID, "", 2000)
	require.NoError(b, err)
	return runs
}

// Write pushes one update and returns the reason of a refusal.
func (b *Bench) Write(r core.Repository, updates ...core.RefUpdate) []push.Result {
	b.Helper()
	results, err := b.Push.Write(context.Background(), push.Session{Repo: b.Reload(r), Source: core.SourcePush, Actor: core.Actor{Subject: "t"}, Updates: updates})
	require.NoError(b, err)
	return results
}

// Settle lets the scheduler do what is left, moving the clock over its pauses.
func (b *Bench) Settle(r core.Repository) {
	b.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for s := b.State(r); s.Served < s.Wanted; s = b.State(r) {
		require.True(b, time.Now().Before(deadline), "%+v", s)
		n, more := b.Clock.Timers()
		if n > 0 && !s.NextAttemptAt.IsZero() {
			b.Clock.Advance(max(s.NextAttemptAt.Sub(b.Clock.Now()), time.Millisecond))
		}
		select {
		case <-more:
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// AllEvents returns the events of the repository, in order.
func (b *Bench) AllEvents(r core.Repository) []core.Event {
	b.Helper()
	all, err := b.Store.EventsOf(context.Background(), core.EventFilter{Org: r.Org, RepoID: r.ID, Limit: 10_000})
	require.NoError(b, err)
	return all
}

// EventTypes returns the types of the events but pushes, in order, and forgets none.
func (b *Bench) EventTypes(r core.Repository) []string {
	b.Helper()
	types := []string{}
	for _, e := range b.AllEvents(r) {
		if e.Type != core.EventPush {
			types = append(types, e.Type)
		}
	}
	return types
}

// LastEvent returns the body of the last event of a type.
func (b *Bench) LastEvent(r core.Repository, typ string) map[string]any {
	b.Helper()
	var body map[string]any
	for _, e := range b.AllEvents(r) {
		if e.Type == typ {
			body = nil
			require.NoError(b, json.Unmarshal(e.Payload, &body))
		}
	}
	require.NotNil(b, body, typ)
	return body
}

// Idle reports whether nothing is due for the repository now.
func (b *Bench) Idle(r core.Repository) bool {
	b.Helper()
	s, now := b.State(r), b.Clock.Now()
	if s.Served < s.Wanted {
		return s.NextAttemptAt.After(now)
	}
	return s.PollAt.IsZero() || s.PollAt.After(now)
}

// WaitIdle waits until nothing is due for the repository at the time of the clock. What
// met something that was under way is looked at again after a second or more, which
// the clock has to pass.
func (b *Bench) WaitIdle(r core.Repository) {
	b.Helper()
	const patience = 3 * time.Second
	deadline, late := time.Now().Add(2*time.Minute), time.Now().Add(patience)
	for !b.Idle(r) {
		switch now := time.Now(); {
		case now.After(deadline):
			require.Fail(b, "the repository does not come to rest", "at %v: %+v", b.Clock.Now(), b.State(r))
		case now.After(late):
			b.Clock.Advance(time.Second)
			late = now.Add(patience / 3)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Pass lets time pass in steps, and all that is due in each.
func (b *Bench) Pass(r core.Repository, d, step time.Duration) {
	b.Helper()
	b.WaitIdle(r)
	for ; d > 0; d -= step {
		b.Clock.Advance(min(d, step))
		b.WaitIdle(r)
	}
}

// Polled makes a mirrored repository that is polled.
func (b *Bench) Polled(name, poll string) (core.Repository, core.ObjectID) {
	b.Helper()
	r, one := b.Mirrored(name)
	b.Configure(r, core.Settings{Poll: poll})
	return r, one
}

func (b *Bench) Configure(r core.Repository, s core.Settings) {
	b.Helper()
	require.NoError(b, b.Store.SaveSettings(context.Background(), r.ID, s))
	require.NoError(b, b.Schedule.SettingsChanged(context.Background(), r.ID))
	b.WaitIdle(r)
}

// Announce announces refs as core/inbound does.
func (b *Bench) Announce(r core.Repository, moves ...core.RefUpdate) {
	b.Helper()
	now := b.Clock.Now()
	var es []core.Expectation
	for _, m := range moves {
		es = append(es, core.Expectation{RepoID: r.ID, Ref: m.Name, Old: m.Old, New: m.New, Since: now, ExpiresAt: now.Add(10 * time.Minute)})
	}
	require.NoError(b, b.Announcer.Announce(context.Background(), r.ID, es))
}

func (b *Bench) Expecting(r core.Repository) int {
	b.Helper()
	all, err := b.Store.Expectations(context.Background(), r.ID)
	require.NoError(b, err)
	return len(all)
}
