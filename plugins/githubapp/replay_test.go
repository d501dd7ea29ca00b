package githubapp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/githubapp"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// receiver is a server that webhooks are delivered to, and that can be down.
type receiver struct {
	*httptest.Server

	mu   sync.Mutex
	down bool
	got  []string // ids of the deliveries, in order
}

func startReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		r.got = append(r.got, request.Header.Get("X-GitHub-Delivery"))
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) set(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

func (r *receiver) ids() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.got...)
}

// hooked returns a provider of a forge whose App delivers to a receiver.
func hooked(t *testing.T) (*forgetest.TestForge, providers.DeliveryReplayer, *receiver) {
	t.Helper()
	f, p := configured(t, forgetest.ForgeOptions{}, nil)
	r := startReceiver(t)
	f.SetInstanceWebhook(r.URL+"/webhooks/github-app", "planted-5ecre7")
	replayer, ok := p.(providers.DeliveryReplayer)
	require.True(t, ok)
	require.True(t, p.Manifest().Capabilities.Replay)
	return f, replayer, r
}

// announce delivers n events and waits until they were tried.
func announce(t *testing.T, f *forgetest.TestForge, n int) {
	t.Helper()
	for range n {
		f.Deliver(repo, forgetest.Event{Kind: forgetest.EventRenamed, From: "acme/old"})
	}
	f.Settle()
}

func TestProvider_ReplayDeliveries_afterDowntime(t *testing.T) {
	t.Parallel()
	f, p, r := hooked(t)
	since := time.Now().Add(-time.Minute)
	announce(t, f, 2)
	r.set(true)
	announce(t, f, 3)
	f.Deliver(repo, forgetest.Event{Kind: forgetest.EventPing}, forgetest.Event{Kind: forgetest.EventOther})
	f.Settle()
	lost := []string{}
	for _, d := range f.Deliveries()[2:5] {
		lost = append(lost, d.ID)
	}

	// Still down: asked for, in vain.
	result, err := p.ReplayDeliveries(t.Context(), providers.ReplayRequest{Host: f.Host(), Since: since})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(providers.ReplayResult{Failed: 3, Replayed: 3}, result), "neither the ping nor the star matters")
	f.Settle()

	r.set(false)
	result, err = p.ReplayDeliveries(t.Context(), providers.ReplayRequest{Host: f.Host(), Since: since})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(providers.ReplayResult{Failed: 3, Replayed: 3}, result), "one attempt of each, however often it failed")
	f.Settle()
	require.Empty(t, cmp.Diff(lost, r.ids()[2:]), "in the order of the events")

	result, err = p.ReplayDeliveries(t.Context(), providers.ReplayRequest{Host: f.Host(), Since: since})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(providers.ReplayResult{}, result), "what arrived is not asked for again")
}

func TestProvider_ReplayDeliveries_pages(t *testing.T) {
	t.Parallel()
	f, p, r := hooked(t)
	r.set(true)
	announce(t, f, 250)
	f.ForgetRequests()
	r.set(false)
	result, err := p.ReplayDeliveries(t.Context(), providers.ReplayRequest{Host: f.Host(), Since: time.Now().Add(-time.Hour)})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(providers.ReplayResult{Failed: 250, Replayed: 250}, result))
	f.Settle()
	require.Len(t, r.ids(), 250)
	require.Equal(t, 253, f.Count(), "three pages, and one request for each delivery")
}

func TestProvider_ReplayDeliveries_bounds(t *testing.T) {
	t.Parallel()
	f, p, r := hooked(t)
	r.set(true)
	announce(t, f, 1)

	result, err := p.ReplayDeliveries(t.Context(), providers.ReplayRequest{Host: f.Host(), Since: time.Now().Add(time.Minute)})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(providers.ReplayResult{}, result), "what came before is not asked for")

	result, err = p.ReplayDeliveries(t.Context(), providers.ReplayRequest{Host: f.Host(), Since: time.Now().Add(-96 * time.Hour)})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(providers.ReplayResult{Failed: 1, Replayed: 1, Incomplete: true}, result), "GitHub keeps three days")
	f.Settle()

	ctx, cancel := context.WithTimeout(t.Context(), 1900*time.Millisecond)
	defer cancel()
	result, err = p.ReplayDeliveries(ctx, providers.ReplayRequest{Host: f.Host(), Since: time.Now().Add(-time.Hour)})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(providers.ReplayResult{Failed: 1, Incomplete: true}, result), "it comes back before its caller has gone")
}

func TestProvider_ReplayDeliveries_limited(t *testing.T) {
	t.Parallel()
	f, p, r := hooked(t)
	r.set(true)
	announce(t, f, 5)
	request := providers.ReplayRequest{Host: f.Host(), Since: time.Now().Add(-time.Hour)}
	for left, want := range map[int]providers.ReplayResult{
		0: {}, 1: {},
		3: {Failed: 5, Replayed: 2, Incomplete: true}, // one request went for the log
	} {
		f.LimitRate(forgetest.RateLimit{Requests: left, Reset: time.Now().Add(time.Hour)})
		result, err := p.ReplayDeliveries(t.Context(), request)
		require.Empty(t, cmp.Diff(want, result), "%d requests left", left)
		if want.Replayed == 0 {
			require.Equal(t, providers.CodeRateLimited, providers.CodeOf(err), "%v", err)
		} else {
			require.NoError(t, err)
		}
		f.LimitRate(forgetest.RateLimit{})
		f.Settle()
	}
}

func TestProvider_ReplayDeliveries_refuses(t *testing.T) {
	t.Parallel()
	f, p, _ := hooked(t)
	_, err := p.ReplayDeliveries(t.Context(), providers.ReplayRequest{Host: "git.example.com"})
	require.Equal(t, providers.CodeInvalidArgument, providers.CodeOf(err), "%v", err)
	require.Zero(t, f.Count(), "what the App signs must reach nobody else")

	bare := githubapp.New()
	require.NoError(t, configure(t, bare, map[string]any{}))
	_, err = bare.(providers.DeliveryReplayer).ReplayDeliveries(t.Context(), providers.ReplayRequest{})
	require.Equal(t, providers.CodeInvalidConfig, providers.CodeOf(err), "%v", err)
}
