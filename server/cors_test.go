package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/internal/servertest"
)

// TestCORS: a page of an allowed origin may call the API, others may not, and no page has
// the browser send credentials.
func TestCORS(t *testing.T) {
	t.Parallel()
	const allowed = "https://app.example.org"
	s := servertest.Start(t, servertest.Options{CORSOrigins: []string{allowed}})
	ask := func(method, path, origin string, preflight bool) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
		require.NoError(t, err)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if preflight {
			r.Header.Set("Access-Control-Request-Method", "DELETE")
			r.Header.Set("Access-Control-Request-Headers", "authorization")
		}
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Empty(t, resp.Header.Get("Access-Control-Allow-Credentials"))
		return resp
	}
	resp := ask(http.MethodOptions, "/api/repos/a%2Fb", allowed, true)
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	require.Equal(t, allowed, resp.Header.Get("Access-Control-Allow-Origin"))
	require.Contains(t, resp.Header.Get("Access-Control-Allow-Methods"), "DELETE")
	require.Contains(t, resp.Header.Get("Access-Control-Allow-Headers"), "Authorization")
	resp = ask(http.MethodGet, "/api/openapi.json", allowed, false)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, allowed, resp.Header.Get("Access-Control-Allow-Origin"))
	for _, name := range []string{"ETag", "RateLimit", "RateLimit-Policy", "Retry-After"} {
		require.Contains(t, strings.Split(resp.Header.Get("Access-Control-Expose-Headers"), ", "), name)
	}
	require.Contains(t, resp.Header.Values("Vary"), "Origin")
	for _, origin := range []string{"", "https://evil.example.org", "http://app.example.org", "null"} {
		resp = ask(http.MethodGet, "/api/openapi.json", origin, false)
		require.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"), origin)
		require.Contains(t, resp.Header.Values("Vary"), "Origin", "a cache must not give the answer to another origin")
	}
	require.Equal(t, http.StatusMethodNotAllowed, ask(http.MethodOptions, "/api/repos", "https://evil.example.org", true).StatusCode)
	require.Empty(t, ask(http.MethodGet, "/a/b.git/info/refs?service=git-upload-pack", allowed, false).Header.Get("Access-Control-Allow-Origin"))
}
