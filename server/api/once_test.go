package api

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
)

// remembered is a [core.IdempotencyStore] in memory.
type remembered struct {
	mu    sync.Mutex
	calls map[string]core.IdempotentCall
}

func (r *remembered) BeginIdempotentCall(_ context.Context, c core.IdempotentCall) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.calls[c.ID]; ok {
		return core.Errorf(core.KindConflict, "there is one")
	}
	r.calls[c.ID] = c
	return nil
}

func (r *remembered) IdempotentCall(_ context.Context, id string) (core.IdempotentCall, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.calls[id]
	if !ok {
		return c, core.Errorf(core.KindNotFound, "there is none")
	}
	return c, nil
}

func (r *remembered) FinishIdempotentCall(_ context.Context, c core.IdempotentCall) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls[c.ID] = c
	return nil
}

func (r *remembered) ForgetIdempotentCall(_ context.Context, id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.calls, id)
	return nil
}

func (r *remembered) DeleteIdempotentCalls(context.Context, time.Time, int) (int, error) {
	return 0, nil
}

// TestOnce sends creations of repositories with keys.
func TestOnce(t *testing.T) {
	t.Parallel()
	calls := &remembered{calls: map[string]core.IdempotentCall{}}
	b := newBench(t, func(o *Options) { o.Calls = calls })
	send := func(t *testing.T, name, body string, keys ...string) *httptest.ResponseRecorder {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/repos", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+b.token(t, name, access.RepoWrite))
		r.Header[idempotencyKey] = keys
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		return w
	}
	first := send(t, "a", `{}`, `"key 1"`)
	require.Equal(t, http.StatusCreated, first.Code, first.Body)
	require.Empty(t, first.Header().Get(replayedHeader))
	for _, key := range []string{`"key 1"`, `key 1`} {
		again := send(t, "a", `{}`, key)
		require.Equal(t, http.StatusCreated, again.Code, again.Body)
		require.Equal(t, "true", again.Header().Get(replayedHeader))
		require.Equal(t, first.Body.String(), again.Body.String())
		require.Equal(t, first.Header().Get("Content-Type"), again.Header().Get("Content-Type"))
	}
	require.Len(t, b.ledger.repos, 1)
	require.Equal(t, http.StatusConflict, send(t, "a", `{}`, "key 2").Code, "of another key the name is taken")

	t.Run("another request", func(t *testing.T) {
		w := send(t, "a", `{"default_branch":"trunk"}`, "key 1")
		require.Equal(t, http.StatusUnprocessableEntity, w.Code)
		require.Contains(t, w.Body.String(), `"code":"invalid"`)
		require.Equal(t, http.StatusUnprocessableEntity, send(t, "b", `{}`, "key 1").Code, "for another repository")
	})
	t.Run("what failed may be tried again", func(t *testing.T) {
		b.ledger.fail = core.Errorf(core.KindUpstreamUnavailable, "the host is down")
		require.Equal(t, http.StatusBadGateway, send(t, "c", `{}`, "key 3").Code)
		b.ledger.fail = nil
		w := send(t, "c", `{}`, "key 3")
		require.Equal(t, http.StatusCreated, w.Code)
		require.Empty(t, w.Header().Get(replayedHeader))
	})
	for name, fail := range map[string]func(){
		"the upstream did not say":   func() { b.ledger.fail = core.Errorf(core.KindUpstreamTimeout, "no answer") },
		"something broke":            func() { b.ledger.fail = context.Canceled },
		"the handler did not return": func() { b.ledger.panics = true },
	} {
		t.Run("unknown: "+name, func(t *testing.T) {
			fail()
			require.GreaterOrEqual(t, send(t, "d", `{}`, name).Code, 500)
			b.ledger.fail, b.ledger.panics = nil, false
			w := send(t, "d", `{}`, name)
			require.Equal(t, http.StatusConflict, w.Code)
			require.Contains(t, w.Body.String(), "is not known")
			require.Empty(t, w.Header().Get("Retry-After"), "to wait does not help")
		})
	}
	t.Run("under way", func(t *testing.T) {
		body, writer := newSlowBody()
		done := make(chan int)
		go func() {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/repos", body)
			r.Header.Set("Authorization", "Bearer "+b.token(t, "e", access.RepoWrite))
			r.Header.Set(idempotencyKey, "key 5")
			w := httptest.NewRecorder()
			b.ServeHTTP(w, r)
			done <- w.Code
		}()
		<-body.asked
		w := send(t, "e", `{}`, "key 5")
		require.Equal(t, http.StatusConflict, w.Code)
		require.Contains(t, w.Body.String(), "under way")
		require.Equal(t, "1", w.Header().Get("Retry-After"))
		writer("{}")
		require.Equal(t, http.StatusCreated, <-done)
		require.Equal(t, "true", send(t, "e", `{}`, "key 5").Header().Get(replayedHeader))
	})
	t.Run("no key", func(t *testing.T) {
		for _, keys := range [][]string{{""}, {"a", "b"}, {`"half`}, {`"a"b"`}, {`"a\n"`}, {"\u00e9"}, {strings.Repeat("k", 256)}} {
			require.Equal(t, http.StatusBadRequest, send(t, "f", `{}`, keys...).Code, "%q", keys)
		}
		require.Equal(t, http.StatusCreated, send(t, "f", `{}`, strings.Repeat("k", 255)).Code)
	})
	t.Run("without a store", func(t *testing.T) {
		plain := newBench(t)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/repos", strings.NewReader(`{}`))
		r.Header.Set("Authorization", "Bearer "+plain.token(t, "a", access.RepoWrite))
		r.Header.Set(idempotencyKey, "k")
		w := httptest.NewRecorder()
		plain.ServeHTTP(w, r)
		require.Equal(t, http.StatusNotImplemented, w.Code)
	})
}

// slowBody is a body that says when it is read, and then waits.
type slowBody struct {
	asked chan struct{}
	once  sync.Once
	text  chan string
}

func newSlowBody() (body *slowBody, write func(text string)) {
	body = &slowBody{asked: make(chan struct{}), text: make(chan string, 1)}
	return body, func(text string) {
		body.text <- text
		close(body.text)
	}
}

func (s *slowBody) Read(p []byte) (int, error) {
	s.once.Do(func() { close(s.asked) })
	text, ok := <-s.text
	if !ok {
		return 0, io.EOF
	}
	return copy(p, text), nil
}
