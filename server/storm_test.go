package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/longtest"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// TestInvariant18_stormWhileTheHostHangs: thousands of webhooks, each of its own
// id, come while the first look is stuck at the host. At most that one runs and
// one waits, whatever their number; the one that waits finds what has changed.
// Without HEADWATER_TEST_LONG the storm is smaller.
func TestInvariant18_stormWhileTheHostHangs(t *testing.T) {
	t.Parallel()
	total := 500
	if longtest.Long() {
		total = 10_000
	}
	d := giteaCase()
	b, clock := clockedBench(t, d, "off", servertest.Options{})
	hook := b.forge.Webhooks(origin)[0]
	// A change that no webhook of the host tells.
	b.forge.SetWebhookFaults(forgetest.WebhookFaults{Drop: true})
	other := d.atHost(t, b)
	id := other.Commit("in the middle of the storm")
	b.hostPush(t, other, "HEAD:main")
	b.forge.Settle()
	before := b.forge.Ref(origin, "refs/heads/feature-1")
	event := forgetest.Event{Kind: forgetest.EventPush, Updates: []forgetest.RefUpdate{{Name: "refs/heads/feature-1", Old: strings.Repeat("0", 40), New: before}}}
	one := b.forge.Payloads(origin, event, hook.Secret, false)[0]

	arrived, release := make(chan struct{}, 100), make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo()
	var at, most atomic.Int64 // listings at the host at a time
	b.forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindListRefs}, Before: func() {
		n := at.Add(1)
		for now := most.Load(); n > now && !most.CompareAndSwap(now, n); now = most.Load() {
		}
		arrived <- struct{}{}
		<-release
		at.Add(-1)
	}})
	b.forge.ForgetRequests()
	runs := len(b.Runs(t, mirror))
	send := func(n int) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, hook.URL, bytes.NewReader(one.Body))
		if err != nil {
			return 0
		}
		r.Header = one.Header.Clone()
		r.Header.Set("X-Gitea-Delivery", fmt.Sprintf("storm-%d", n)) // the signature is of the body
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0
		}
		defer answer.Body.Close()
		_, _ = io.Copy(io.Discard, answer.Body)
		return answer.StatusCode
	}
	require.Equal(t, http.StatusAccepted, send(0))
	<-arrived // the one that runs

	heap := heapInUse()
	var next atomic.Int64
	var refused atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range 8 {
		wg.Go(func() {
			for n := next.Add(1); n < int64(total); n = next.Add(1) {
				if send(int(n)) != http.StatusAccepted {
					refused.Add(1)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d webhooks of their own ids, %.0f/s", total, float64(total)/time.Since(began).Seconds())
	require.Zero(t, refused.Load())
	require.Less(t, heapInUse()-heap, int64(64<<20), "bytes kept of %d webhooks", total)
	state := b.Status(t, mirror)
	require.LessOrEqual(t, state.Wanted-state.Served, int64(1), "one waits")
	require.Empty(t, arrived, "and nothing else is at the host")
	expected, err := b.store.Expectations(t.Context(), b.Repo(t, mirror).ID)
	require.NoError(t, err)
	require.LessOrEqual(t, len(expected), 1)

	letGo()
	b.awaitRef(t, "refs/heads/main", id)
	b.settle(t)
	clock.Advance(2 * time.Second) // the one that waited
	require.Eventually(t, func() bool { return b.forge.Count(forgetest.KindListRefs) >= 2 }, time.Minute, 25*time.Millisecond)
	b.settle(t)
	require.Eventually(t, func() bool { return b.Status(t, mirror).PollAt.IsZero() }, time.Minute, 25*time.Millisecond, "nothing is left to be looked for")
	require.EqualValues(t, 1, most.Load())
	// What ran and what waited, and what git lists before it fetches.
	require.LessOrEqual(t, b.forge.Count(forgetest.KindListRefs), 3)
	require.Equal(t, 1, b.forge.Count(forgetest.KindFetch))
	require.Equal(t, runs+1, len(b.Runs(t, mirror)), "one run had something to do")
	b.requireSame(t)
}

// heapInUse is what is left after a collection.
func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestInvariant18_hostThatRepeatsItself: a host that sends everything several
// times, late and to the wrong addresses, is followed as if it had sent it once.
func TestInvariant18_hostThatRepeatsItself(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]forgetest.WebhookFaults{
		"duplicates": {Duplicates: 20},
		"late":       {Delay: 50 * time.Millisecond, Duplicates: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := giteaCase()
			b := d.start(t, servertest.Options{})
			d.follow(t, b)
			b.forge.SetWebhookFaults(faults)
			b.forge.ForgetRequests()
			other := d.atHost(t, b)
			b.forge.ForgetRequests()
			runs := len(b.Runs(t, mirror))
			for n := range 3 {
				id := other.Commit(fmt.Sprintf("sent %d times", n))
				b.hostPush(t, other, "HEAD:main")
				b.awaitRef(t, "refs/heads/main", id)
			}
			b.settle(t)
			require.Equal(t, 3, b.forge.Count(forgetest.KindFetch))
			require.Len(t, b.Runs(t, mirror), runs+3)
			require.Len(t, b.events(t), 3)
		})
	}
	t.Run("tampered", func(t *testing.T) {
		t.Parallel()
		d := giteaCase()
		b := d.start(t, servertest.Options{})
		d.follow(t, b)
		b.forge.SetWebhookFaults(forgetest.WebhookFaults{Tamper: true})
		other := d.atHost(t, b)
		b.forge.ForgetRequests()
		other.Commit("sent by another repository")
		b.hostPush(t, other, "HEAD:main")
		wanted := b.Status(t, mirror).Wanted
		b.settle(t)
		for _, sent := range b.forge.Deliveries() {
			require.Equal(t, http.StatusUnauthorized, sent.Status)
		}
		require.Equal(t, wanted, b.Status(t, mirror).Wanted)
		require.Zero(t, contacts(b.forge), "nothing was asked of the host")
	})
}
