package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server"
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

// TestCheckCORSOrigin: what no page ever has as its origin is refused, with what to write.
func TestCheckCORSOrigin(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"*", "https://app.example.org", "http://localhost:3000", "https://127.0.0.1:8443", "http://[::1]:8080", "https://xn--bcher-kva.example", "https://a_b.example."} {
		require.NoError(t, server.CheckCORSOrigin(good), good)
	}
	for bad, says := range map[string]string{
		"https://*.example": "a pattern", "https://app*.example.org": "a pattern", "https://*": "a pattern", "http://localhost:*": "like https://app.example.org",
		"https://app.example.org/": "without a path", "app.example.org": "without a path", "null": "without a path", "": "without a path", "https://a@b.example": "without a path",
		"https://App.example.org": `use "https://app.example.org"`, "https://app.example.org:443": `use "https://app.example.org"`, "http://app.example.org:80": `use "http://app.example.org"`,
		"http://app.example.org:": `use "http://app.example.org"`, "https://bücher.example": "xn--", "https://a,b": "ASCII", "https://a..b": "ASCII", "https://app.example.org:99999": "a port that there is not", "https://app.example.org:080": "a port that there is not",
	} {
		err := server.CheckCORSOrigin(bad)
		require.ErrorContains(t, err, says, bad)
		require.Equal(t, core.KindInvalid, core.KindOf(err))
	}
	_, err := server.New(t.Context(), server.Options{DataDir: t.TempDir(), CORSOrigins: []string{"https://*.example"}})
	require.ErrorContains(t, err, "a pattern", "of a program that embeds the server, too")
}
