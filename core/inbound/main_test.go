package inbound_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/inbound"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/providers"
)

func TestMain(m *testing.M) { coretest.Main(m) }

const (
	instance   = "test"
	publicURL  = "https://git.example.com"
	appSecret  = "the secret of the instance"
	eventOfApp = "X-Test-Event"
)

// bench is a store, a plugin whose host signs with HMAC, and the service, which
// does not run unless a test says so.
type bench struct {
	*coretest.World
	t     *testing.T
	s     *inbound.Service
	clock *coretest.Clock
	syncs *syncs
	host  *hookHost
}

func newBench(t *testing.T) *bench {
	t.Helper()
	clock := coretest.NewClock()
	b := &bench{t: t, clock: clock, World: coretest.NewWorld(t, coretest.Options{Clock: clock}), syncs: &syncs{}, host: &hookHost{hooks: map[string]hook{}}}
	b.Plugin.Edit(func(m *providers.Manifest, policy *providers.HostPolicy) {
		m.Capabilities.Webhooks, m.Capabilities.WebhookRegistration, m.Capabilities.Replay = true, true, true
		m.WebhookHeaders = []string{"X-Signature", eventOfApp}
		policy.WebhookSecrets = []providers.Secret{appSecret}
	})
	b.Plugin.ParseWebhookFunc = parse
	b.Plugin.EnsureWebhookFunc, b.Plugin.RemoveWebhookFunc = b.host.ensure, b.host.remove
	b.Plugin.ReplayDeliveriesFunc = b.host.replay
	b.open(publicURL)
	return b
}

// open makes the service anew, as a restart does.
func (b *bench) open(url string) {
	b.s = inbound.New(inbound.Options{
		Store: b.Store, Plugins: b.Plugin, Announcements: b.syncs, Upstreams: b.syncs, Clock: b.clock, Logger: b.Logger, PublicURL: url,
	})
}

// run runs the service until the test ends or stop is called.
func (b *bench) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(b.t, <-done)
	})
	b.t.Cleanup(stop)
	return stop
}

// webhook returns the row of a repository.
func (b *bench) webhook(r core.Repository) core.InboundWebhook {
	b.t.Helper()
	w, err := b.s.Webhook(context.WithoutCancel(b.t.Context()), r.ID)
	require.NoError(b.t, err)
	return w
}

// await waits for a row to be as it shall be.
func (b *bench) await(r core.Repository, ok func(w core.InboundWebhook) bool) core.InboundWebhook {
	b.t.Helper()
	var w core.InboundWebhook
	require.Eventually(b.t, func() bool {
		var err error
		w, err = b.Store.InboundWebhook(context.WithoutCancel(b.t.Context()), r.ID)
		return err == nil && ok(w)
	}, time.Minute, time.Millisecond)
	return w
}

func active(w core.InboundWebhook) bool { return w.State == core.InboundActive }

// send delivers a webhook; with a token to the address of a repository.
func (b *bench) send(token string, body []byte, sign providers.Secret) (inbound.Answer, error) {
	b.t.Helper()
	a, err := b.s.Find(b.t.Context(), instance, token)
	if err != nil {
		return inbound.Answer{}, err
	}
	return b.s.Receive(b.t.Context(), a, providers.WebhookRequest{Method: http.MethodPost, Header: a.Header(signed(body, sign)), Body: body})
}

func signed(body []byte, secret providers.Secret) http.Header {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write(body)
	return http.Header{"X-Signature": {hex.EncodeToString(mac.Sum(nil))}, "X-Secret-Of-A-Proxy": {"no business of a plugin"}}
}

// encode makes the body of a webhook: the result itself.
func encode(t *testing.T, r providers.WebhookResult) []byte {
	t.Helper()
	body, err := json.Marshal(r)
	require.NoError(t, err)
	return body
}

// parse is the plugin: it takes a signed result at its word.
func parse(_ context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
	if r.Header.Get("X-Secret-Of-A-Proxy") != "" {
		return providers.WebhookResult{}, providers.Errorf(providers.CodeInvalidArgument, "a header that the manifest does not list")
	}
	got, err := hex.DecodeString(r.Header.Get("X-Signature"))
	ok := slices.ContainsFunc(r.Secrets, func(s providers.Secret) bool {
		mac := hmac.New(sha256.New, []byte(s.Reveal()))
		mac.Write(r.Body)
		return s != "" && err == nil && hmac.Equal(mac.Sum(nil), got)
	})
	if !ok {
		return providers.WebhookResult{}, providers.Errorf(providers.CodeSignatureInvalid, "bad signature")
	}
	result := providers.WebhookResult{}
	if err := json.Unmarshal(r.Body, &result); err != nil {
		return result, providers.Errorf(providers.CodeInvalidArgument, "not JSON")
	}
	if r.Repository != nil && result.RepositoryPath != "" && result.RepositoryPath != r.Repository.Path {
		return result, providers.Errorf(providers.CodeInvalidArgument, "about another repository")
	}
	result.Verified = true
	return result, nil
}

// syncs records what is asked of core/schedule and core/mirror.
type syncs struct {
	mu        sync.Mutex
	announced map[string][]core.Expectation
	looks     []string
	pokes     int
	checked   []string
	err       error

	unconfirmed error // what [syncs.ConfirmIdentity] returns
}

func (s *syncs) AnnounceIn(ctx context.Context, q core.Queries, repoID string, expect []core.Expectation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.looks = append(s.looks, repoID)
	if s.announced == nil {
		s.announced = map[string][]core.Expectation{}
	}
	s.announced[repoID] = append(s.announced[repoID], expect...)
	_, err := q.RequestSync(ctx, repoID, "webhook", "")
	return err
}

func (s *syncs) NotifyAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pokes++
}

func (s *syncs) CheckUpstream(_ context.Context, repoID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checked = append(s.checked, repoID)
	return nil
}

func (s *syncs) ConfirmIdentity(context.Context, core.Repository) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unconfirmed
}

// unconfirm lets no upstream be the one that is followed while err is not nil.
func (s *syncs) unconfirm(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unconfirmed = err
}

func (s *syncs) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// seen returns the repositories that were announced, and those whose upstream
// was to be checked, in order.
func (s *syncs) seen() (looks, checked []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.looks), slices.Clone(s.checked)
}

func (s *syncs) expectations(repoID string) []core.Expectation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.announced[repoID]
}

// hook is a webhook at the host.
type hook struct {
	id, url string
	secret  providers.Secret
}

// hookHost is a host with an API for webhooks.
type hookHost struct {
	mu      sync.Mutex
	hooks   map[string]hook // by path of the repository
	calls   int
	fail    error
	arrived chan struct{} // a call has arrived
	release chan struct{} // and may go on

	replays []providers.ReplayRequest
	lost    providers.ReplayResult
}

func (h *hookHost) ensure(ctx context.Context, r providers.EnsureWebhookRequest) (providers.RegisteredWebhook, error) {
	h.mu.Lock()
	arrived, release := h.arrived, h.release
	h.mu.Unlock()
	if arrived != nil {
		arrived <- struct{}{}
		select {
		case <-release:
		case <-ctx.Done():
			return providers.RegisteredWebhook{}, ctx.Err()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
	if h.fail != nil {
		return providers.RegisteredWebhook{}, h.fail
	}
	if r.Stored == nil {
		return providers.RegisteredWebhook{}, providers.Errorf(providers.CodeUnauthenticated, "log in")
	}
	want := hook{id: "hook-of-" + r.Remote.Path, url: r.URL, secret: r.Secret}
	changed := h.hooks[r.Remote.Path] != want
	h.hooks[r.Remote.Path] = want
	return providers.RegisteredWebhook{HookID: want.id, Changed: changed}, nil
}

func (h *hookHost) remove(_ context.Context, r providers.RemoveWebhookRequest) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fail != nil {
		return h.fail
	}
	delete(h.hooks, r.Remote.Path)
	return nil
}

func (h *hookHost) replay(_ context.Context, r providers.ReplayRequest) (providers.ReplayResult, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.replays = append(h.replays, r)
	return h.lost, h.fail
}

func (h *hookHost) set(change func(h *hookHost)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change(h)
}

func (h *hookHost) at(path string) (hook, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	found, ok := h.hooks[path]
	return found, ok
}

func (h *hookHost) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls
}

// failing is a plugin that fails with err; with nil it forgets to verify.
func failing(err error) func(context.Context, providers.WebhookRequest) (providers.WebhookResult, error) {
	return func(context.Context, providers.WebhookRequest) (providers.WebhookResult, error) {
		return providers.WebhookResult{}, err
	}
}
