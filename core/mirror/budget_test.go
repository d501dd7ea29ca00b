package mirror_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
	"github.com/headwater-git/headwater/core/schedule"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
)

var listing = []forgetest.Kind{forgetest.KindListRefs, forgetest.KindDiscover}

func TestInvariant21_limitOfOneHostRestsThatHostAlone(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	other := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitHubPublic})
	b.Plugin.AddHost(other.HostPolicy())
	var limited []core.Repository
	for i := range 4 {
		r, _ := b.Polled(fmt.Sprint("limited", i), "1m")
		limited = append(limited, r)
	}
	fast := b.SyncedAt(other, "fast")
	require.NoError(t, b.Sync(fast, ""))
	b.Configure(fast, core.Settings{Poll: "1m"})

	remove := b.Forge.Inject(forgetest.Fault{Kinds: listing, Status: 429, RetryAfter: 2 * time.Hour})
	b.Announce(limited[0])
	b.WaitIdle(limited[0])
	require.Equal(t, core.ClassRateLimited, b.State(limited[0]).LastClass)
	remove()
	b.Forge.ForgetRequests()
	// Neither its own retry, nor webhooks and polls of others go there before.
	b.Announce(limited[1])
	b.Pass(fast, 110*time.Minute, time.Minute)
	require.Zero(t, b.Forge.Count(), "the host rests")
	require.Zero(t, b.State(limited[2]).Failures, "that is no failure of theirs")
	require.Error(t, b.Mirror.Fresh(t.Context(), limited[2]))
	require.WithinDuration(t, b.Clock.Now(), b.State(fast).ObservedAt, 2*time.Minute, "the other host is polled on")
	// A person is let through.
	require.NoError(t, b.Sync(limited[3], ""))
	require.NotZero(t, b.Forge.Count())
	// After the pause all come back, not at once.
	b.Pass(fast, 15*time.Minute, 5*time.Second)
	for _, r := range limited {
		b.WaitIdle(r)
		require.WithinDuration(t, b.Clock.Now(), b.State(r).ObservedAt, 5*time.Minute)
		require.Zero(t, b.State(r).Failures)
	}
}

func TestInvariant21_hostThatHangsTakesFewPlaces(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	other := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitHubPublic})
	b.Plugin.AddHost(other.HostPolicy())
	b.Plugin.Edit(func(_ *providers.Manifest, p *providers.HostPolicy) { p.MaxConcurrent = 4 })
	for i := range 12 {
		b.Polled(fmt.Sprint("slow", i), "1m")
	}
	fast := b.SyncedAt(other, "fast")
	one := coretest.Commit(t, must(other.Forge.RepoDir("acme/fast")), "one")
	coretest.Run(t, must(other.Forge.RepoDir("acme/fast")), "update-ref", mainRef, string(one))
	require.NoError(t, b.Sync(fast, ""))
	b.Configure(fast, core.Settings{Poll: "1m"})
	var mu sync.Mutex
	now, most := 0, 0
	release := make(chan struct{})
	hanging := make(chan struct{}, 100)
	b.Forge.Inject(forgetest.Fault{Kinds: listing, Before: func() {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		hanging <- struct{}{}
		<-release
		mu.Lock()
		now--
		mu.Unlock()
	}})
	b.Clock.Advance(70 * time.Second) // all are due, and hang
	<-hanging
	b.WaitIdle(fast)
	two := coretest.Commit(t, must(other.Forge.RepoDir("acme/fast")), "two", one)
	coretest.Run(t, must(other.Forge.RepoDir("acme/fast")), "update-ref", mainRef, string(two))
	b.Clock.Advance(70 * time.Second)
	b.WaitIdle(fast)
	require.Equal(t, two, b.Refs(fast)[mainRef])
	mu.Lock()
	require.LessOrEqual(t, most, 4, "what the operator allows")
	mu.Unlock()
	close(release)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A host that is down, with many repositories: contacts and notices stay few.
func TestInvariant14_deadHost(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	const n = 12
	var all []core.Repository
	for i := range n {
		r, _ := b.Polled(fmt.Sprint("r", i), "1m")
		all = append(all, r)
	}
	remove := b.Forge.Inject(forgetest.Fault{Drop: true})
	b.Forge.ForgetRequests()
	told := func() (types map[string]int) {
		types = map[string]int{}
		for _, r := range all {
			for _, typ := range b.EventTypes(r) {
				types[typ]++
			}
		}
		return types
	}
	before := told()
	for range 3 * 60 {
		b.Clock.Advance(time.Minute)
		for _, r := range all {
			b.WaitIdle(r)
		}
	}
	require.Less(t, b.Forge.Count(), 120, "about one contact in five minutes, and its retries")
	after := told()
	require.LessOrEqual(t, after[failed]-before[failed], n)
	require.LessOrEqual(t, after[away]-before[away], n)
	require.Equal(t, before[started], after[started])
	remove()
	for range 30 {
		b.Clock.Advance(time.Minute)
		for _, r := range all {
			b.WaitIdle(r)
		}
	}
	for _, r := range all {
		s := b.State(r)
		require.Zero(t, s.Failures)
		require.WithinDuration(t, b.Clock.Now(), s.ObservedAt, 15*time.Minute)
	}
	end := told()
	require.Equal(t, after[away]-before[away], end[back], "each is told back that was told away")
}

func TestService_Progress_looksAreNoSyncs(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r, _ := b.Polled("a", "1m")
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b.OnListed(func() error {
		once.Do(func() {
			close(entered)
			<-release
		})
		return nil
	})
	b.Clock.Advance(70 * time.Second)
	<-entered
	_, running := b.Mirror.Progress(r.ID)
	require.False(t, running)
	require.Empty(t, b.Mirror.Running())
	// Who asks during a look gets a run that begins after it.
	gen, err := b.Schedule.Request(t.Context(), r.ID, schedule.TriggerAPI, "")
	require.NoError(t, err)
	runs := len(b.Runs(r))
	close(release)
	require.NoError(t, b.Wait(r, gen))
	require.Len(t, b.Runs(r), runs+1)
}
