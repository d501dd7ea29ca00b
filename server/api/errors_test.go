package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
)

func TestStatusOf_everyKindHasOne(t *testing.T) {
	t.Parallel()
	for _, kind := range core.Kinds() {
		require.Contains(t, statuses, kind)
		require.Equal(t, statuses[kind], StatusOf(kind))
		require.GreaterOrEqual(t, StatusOf(kind), 400)
	}
	require.Len(t, statuses, len(core.Kinds()))
	require.Equal(t, http.StatusInternalServerError, StatusOf("new"))
}

func TestWriteError_table(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		err    error
		status int
		text   string
		code   string
		retry  string
	}{
		{"plain", core.Errorf(core.KindConflict, "taken"), 409, "taken", "conflict", ""},
		{"wrapped", fmt.Errorf("create: %w", core.Errorf(core.KindNotFound, "no such branch")), 404, "no such branch", "not_found", ""},
		{"operation and cause stay inside", &core.Error{Kind: core.KindInvalid, Op: "op", Subject: "s", Message: "bad", Err: errors.New("/etc/x")}, 400, "bad", "invalid", ""},
		{"no message", &core.Error{Kind: core.KindTooLarge}, 413, "too large", "too_large", ""},
		{"retry is rounded up", &core.Error{Kind: core.KindRateLimited, Message: "slow", RetryAfter: 1200 * time.Millisecond}, 429, "slow", "rate_limited", "2"},
		{"first sync", &core.Error{Kind: core.KindSyncing, Message: "wait"}, 409, "repository sync in progress. please retry shortly", "syncing", "5"},
		{"first sync that knows when", &core.Error{Kind: core.KindSyncing, RetryAfter: time.Minute}, 409, syncingText, "syncing", "60"},
		{"precondition", core.Errorf(core.KindPrecondition, "no App"), 412, "no App", "precondition", ""},
		{"any error", errors.New("open /var/lib/x: denied"), 500, "internal error; the server's log has the details", "internal", ""},
		{"internal with a message", core.Errorf(core.KindInternal, "open /var/lib/x"), 500, "internal error; the server's log has the details", "internal", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			WriteError(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), tt.err)
			require.Equal(t, tt.status, w.Code)
			require.Equal(t, tt.retry, w.Header().Get("Retry-After"))
			require.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
			var body map[string]any
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
			require.Equal(t, map[string]any{
				"error": tt.text, "detail": tt.text, "status": float64(tt.status), "title": http.StatusText(tt.status), "type": "about:blank", "code": tt.code,
			}, body)
		})
	}
}

func TestWriteError_keepsTheChallengeOfTheCaller(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	w := httptest.NewRecorder()
	WriteError(w, r, core.Errorf(core.KindUnauthenticated, "no"))
	require.Equal(t, `Bearer realm="headwater"`, w.Header().Get("WWW-Authenticate"))
	w = httptest.NewRecorder()
	w.Header().Set("WWW-Authenticate", "Basic")
	WriteError(w, r, core.Errorf(core.KindUnauthenticated, "no"))
	require.Equal(t, []string{"Basic"}, w.Header().Values("WWW-Authenticate"))
}

func TestNew_aPanicIsAnAnswerAndALogLine(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ledger.panics = true
	a := b.do(t, http.MethodPost, "/api/v1/repos", b.token(t, "app", access.RepoWrite), "")
	require.Equal(t, http.StatusInternalServerError, a.status)
	require.NotContains(t, a.raw, "roof")
	require.Contains(t, b.log.String(), "the roof is on fire")
	require.Contains(t, b.log.String(), "CreateRepository", "the stack")
	require.Contains(t, b.log.String(), `"status":500`)
}

func TestNew_internalErrorsAreLoggedNotShown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.ledger.fail = fmt.Errorf("insert: %w", errors.New("disk /dev/sda1 is full"))
	a := b.do(t, http.MethodPost, "/api/v1/repos", b.token(t, "app", access.RepoWrite), "")
	require.Equal(t, http.StatusInternalServerError, a.status)
	require.NotContains(t, a.raw, "sda1")
	require.Contains(t, b.log.String(), "sda1")
	require.Contains(t, b.log.String(), a.header.Get("X-Request-Id"))
}

func TestNew_aClientThatLeftIsNoFailureOfOurs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.ledger.fail = fmt.Errorf("create: %w", context.Canceled)
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v1/repos", nil)
	r.Header.Set("Authorization", "bearer "+b.token(t, "app", access.RepoWrite))
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	require.Equal(t, statusClientGone, w.Code)
	require.NotContains(t, b.log.String(), `"@level":"error"`)
}

// Invariant 15: no secret in logs.
func TestNew_logsOneLineWithoutTheToken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.create(t, "team/app", "")
	token := b.token(t, "team/app", access.GitRead)
	b.do(t, http.MethodGet, "/api/repos/team%2Fapp", token, "")
	var last map[string]any
	lines := strings.Split(strings.TrimSpace(b.log.String()), "\n")
	require.Len(t, lines, 2)
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &last))
	require.Equal(t, "GET", last["method"])
	require.Equal(t, "/api/repos/{name}", last["route"])
	require.EqualValues(t, 200, last["status"])
	require.Equal(t, "acme", last["org"])
	require.Equal(t, "tester", last["subject"])
	require.Contains(t, last, "duration")
	require.NotContains(t, b.log.String(), token)
}
