package inbound

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/inbound"
	"github.com/headwater-git/headwater/providers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver is a core/inbound that tests decide about.
type receiver struct {
	find    func(provider, token string) error
	receive func(ctx context.Context, r providers.WebhookRequest) (inbound.Answer, error)
}

func (f receiver) Find(_ context.Context, provider, token string) (*inbound.Address, error) {
	if f.find == nil {
		return &inbound.Address{}, nil
	}
	return &inbound.Address{}, f.find(provider, token)
}

func (f receiver) Receive(ctx context.Context, _ *inbound.Address, r providers.WebhookRequest) (inbound.Answer, error) {
	if f.receive == nil {
		return inbound.Answer{}, nil
	}
	return f.receive(ctx, r)
}

// post sends one request to the handler.
func post(h http.Handler, path string, body io.Reader, edit ...func(r *http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, body)
	for _, e := range edit {
		e(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandler_ServeHTTP_answers(t *testing.T) {
	t.Parallel()
	fail := func(kind core.Kind, retry time.Duration) error {
		return &core.Error{Kind: kind, Op: "read inbound webhook", Message: "the sentence", Err: errors.New("inner token-and-body"), RetryAfter: retry}
	}
	for name, c := range map[string]struct {
		answer inbound.Answer
		err    error
		status int
		body   string
		retry  string
	}{
		"taken":             {inbound.Answer{}, nil, 202, "accepted\n", ""},
		"duplicate":         {inbound.Answer{Duplicate: true}, nil, 202, "accepted\n", ""},
		"challenge":         {inbound.Answer{Status: 200, Body: []byte("echo")}, nil, 200, "echo", ""},
		"challenge refused": {inbound.Answer{Status: 400, Body: []byte("no")}, nil, 400, "no", ""},
		"no redirects":      {inbound.Answer{Status: 302, Body: []byte("x")}, nil, 202, "accepted\n", ""},
		"no server errors":  {inbound.Answer{Status: 500, Body: []byte("x")}, nil, 202, "accepted\n", ""},
		"bad signature":     {err: fail(core.KindUnauthenticated, 0), status: 401, body: "the sentence\n"},
		"no secret":         {err: fail(core.KindPrecondition, 0), status: 412, body: "the sentence\n"},
		"malformed":         {err: fail(core.KindInvalid, 0), status: 400, body: "the sentence\n"},
		"unsupported":       {err: fail(core.KindNotFound, 0), status: 404, body: "the sentence\n"},
		"plugin down":       {err: fail(core.KindUpstreamUnavailable, 2500*time.Millisecond), status: 503, body: "the webhook cannot be taken now; send it again\n", retry: "3"},
		"store down":        {err: fail(core.KindInternal, 0), status: 500, body: "internal error\n"},
		"something else":    {err: errors.New("secret"), status: 500, body: "internal error\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := New(Options{Receiver: receiver{receive: func(context.Context, providers.WebhookRequest) (inbound.Answer, error) { return c.answer, c.err }}})
			w := post(h, "/webhooks/github-app", strings.NewReader("{}"))
			require.Equal(t, c.status, w.Code)
			require.Equal(t, c.body, w.Body.String())
			require.Equal(t, c.retry, w.Header().Get("Retry-After"))
			require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		})
	}
}

func TestHandler_ServeHTTP_pathAndMethod(t *testing.T) {
	t.Parallel()
	var provider, token string
	h := New(Options{Receiver: receiver{
		find: func(p, k string) error { provider, token = p, k; return nil },
		receive: func(_ context.Context, r providers.WebhookRequest) (inbound.Answer, error) {
			require.Equal(t, "/webhooks/gitea", r.Path, "plugins do not see the token")
			return inbound.Answer{}, nil
		},
	}})
	require.Equal(t, 202, post(h, "/webhooks/gitea/to-ken?x=1", nil).Code)
	require.Equal(t, "gitea", provider)
	require.Equal(t, "to-ken", token)
	for _, path := range []string{"/webhooks/", "/webhooks//token", "/webhooks/gitea/", "/webhooks/gitea/a/b", "/webhooks/gitea/a/"} {
		w := post(h, path, nil)
		require.Equal(t, 404, w.Code, path)
		require.Equal(t, "there is no webhook at this address\n", w.Body.String())
	}
	w := post(h, "/webhooks/gitea", nil, func(r *http.Request) { r.Method = http.MethodGet })
	require.Equal(t, 405, w.Code)
	require.Equal(t, "POST", w.Header().Get("Allow"))
	w = post(h, "/webhooks/gitea", nil, func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") })
	require.Equal(t, 415, w.Code)
	require.True(t, Match(httptest.NewRequest(http.MethodPost, "/webhooks/x", nil)))
	require.False(t, Match(httptest.NewRequest(http.MethodPost, "/api/v1/webhooks", nil)))
}

func TestHandler_ServeHTTP_bodyIsCapped(t *testing.T) {
	t.Parallel()
	var got []byte
	h := New(Options{MaxBody: 1 << 20, Receiver: receiver{receive: func(_ context.Context, r providers.WebhookRequest) (inbound.Answer, error) {
		got = bytes.Clone(r.Body)
		return inbound.Answer{}, nil
	}}})
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for _, size := range []int{0, 1, 4096, 4097, 64 << 10, 64<<10 + 1, 1 << 20} {
		require.Equal(t, 202, post(h, "/webhooks/x", bytes.NewReader(body[:size])).Code, size)
		require.True(t, bytes.Equal(body[:size], got), size)
	}
	tooMuch := append(bytes.Clone(body), 'x')
	require.Equal(t, 413, post(h, "/webhooks/x", bytes.NewReader(tooMuch)).Code)
	// Without a length, and with one that is a lie.
	require.Equal(t, 413, post(h, "/webhooks/x", io.MultiReader(bytes.NewReader(tooMuch)), func(r *http.Request) { r.ContentLength = -1 }).Code)
	require.True(t, h.memory.weighted.TryAcquire(maxMemory), "everything was given back")
}

func TestHandler_ServeHTTP_unknownAddressCostsNoBody(t *testing.T) {
	t.Parallel()
	h := New(Options{Receiver: receiver{find: func(string, string) error { return core.Errorf(core.KindNotFound, "no") }}})
	require.Equal(t, 404, post(h, "/webhooks/x", unread{t}).Code)
}

// unread is a body that must not be read.
type unread struct{ t *testing.T }

func (b unread) Read([]byte) (int, error) {
	b.t.Error("the body was read")
	return 0, io.EOF
}

func TestHandler_ServeHTTP_largeBodiesShareTheMemory(t *testing.T) {
	t.Parallel()
	h := New(Options{Receiver: receiver{}})
	require.True(t, h.memory.weighted.TryAcquire(maxMemory))
	small := post(h, "/webhooks/x", strings.NewReader(strings.Repeat("x", 60<<10)))
	require.Equal(t, 202, small.Code, "most webhooks need none of it")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := post(h, "/webhooks/x", strings.NewReader(strings.Repeat("x", 100<<10)), func(r *http.Request) { *r = *r.WithContext(ctx) })
	require.Equal(t, 503, w.Code)
	require.Equal(t, "5", w.Header().Get("Retry-After"))
}

func TestHandler_ServeHTTP_fewAtAPluginAtATime(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	running, most := 0, 0
	full, release := make(chan struct{}), make(chan struct{})
	h := New(Options{Receiver: receiver{receive: func(context.Context, providers.WebhookRequest) (inbound.Answer, error) {
		mu.Lock()
		running++
		most = max(most, running)
		if running == perSender {
			close(full)
		}
		mu.Unlock()
		<-release
		mu.Lock()
		running--
		mu.Unlock()
		return inbound.Answer{}, nil
	}}})
	var wg sync.WaitGroup
	for range perSender {
		wg.Go(func() { post(h, "/webhooks/x", nil) })
	}
	<-full
	// One more of this sender has to wait, and gives up with its client.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := post(h, "/webhooks/x", nil, func(r *http.Request) { *r = *r.WithContext(ctx) })
	require.Contains(t, []int{400, 503}, w.Code)
	close(release)
	wg.Wait()
	require.Equal(t, perSender, most)
	require.Empty(t, h.senders.keys)
	require.Empty(t, h.addresses.keys)
}

func TestHandler_ServeHTTP_logsNeitherTokenNorBody(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := New(Options{
		Logger: hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Trace}),
		Receiver: receiver{receive: func(context.Context, providers.WebhookRequest) (inbound.Answer, error) {
			return inbound.Answer{}, core.Errorf(core.KindInternal, "broken")
		}},
	})
	require.Equal(t, 500, post(h, "/webhooks/gitea/planted-token?q=planted-query", strings.NewReader("planted-body")).Code)
	require.Contains(t, log.String(), "broken")
	require.NotContains(t, log.String(), "planted")
}

func TestHandler_ServeHTTP_panicsAreAnswersAndLogLines(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	h := New(Options{
		Receiver: receiver{receive: func(context.Context, providers.WebhookRequest) (inbound.Answer, error) { panic("the roof is on fire") }},
		Logger:   hclog.New(&hclog.LoggerOptions{Output: &log}),
	})
	// Once more than a sender has turns: a panic gives its turn back.
	for range perSender + 1 {
		w := post(h, "/webhooks/forge/planted-token", strings.NewReader("{}"))
		require.Equal(t, http.StatusInternalServerError, w.Code)
		require.Equal(t, "internal error\n", w.Body.String())
	}
	require.Contains(t, log.String(), "the roof is on fire")
	require.NotContains(t, log.String(), "planted")
}
