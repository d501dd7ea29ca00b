package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/access"
)

// TestConditional_changesShow holds the ETags of reads against what changes them: a push,
// another query, and nothing at all.
func TestConditional_changesShow(t *testing.T) {
	t.Parallel()
	b := newReadBench(t)
	token := b.token(t, "team/app", access.GitRead)
	ask := func(path, etag string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		if etag != "" {
			r.Header.Set("If-None-Match", etag)
		}
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		return w
	}
	const base = "/api/repos/team%2Fapp/"
	before := map[string]string{}
	for _, path := range []string{"files", "files/metadata", "commits", "branches", "diff?ref=main", "blame?path=README.md"} {
		w := ask(base+path, "")
		require.Equal(t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
		etag := w.Header().Get("ETag")
		require.NotEmpty(t, etag, path)
		before[path] = etag
		for _, sent := range []string{etag, `"x", ` + etag, "*", "W/" + strings.TrimPrefix(etag, "W/")} {
			w = ask(base+path, sent)
			require.Equal(t, http.StatusNotModified, w.Code, "%s with %s", path, sent)
			require.Zero(t, w.Body.Len())
			require.Equal(t, etag, w.Header().Get("ETag"))
			require.Empty(t, w.Header().Get("Content-Type"))
			require.Equal(t, "private, no-cache", w.Header().Get("Cache-Control"))
		}
		require.Equal(t, http.StatusOK, ask(base+path, `"other"`).Code, path)
	}
	require.NotEqual(t, before["files"], ask(base+"files?path=docs", "").Header().Get("ETag"), "of another query")
	w := ask(base+"files?ref=nope", "*")
	require.Equal(t, http.StatusNotFound, w.Code)
	require.Empty(t, w.Header().Get("ETag"))
	require.Equal(t, "no-store", w.Header().Get("Cache-Control"))

	tree := b.id("main^{tree}")
	commit := strings.TrimSpace(b.git(b.dir, "", "commit-tree", tree, "-p", b.id("main"), "-m", "again"))
	b.git(b.dir, "", "update-ref", "refs/heads/main", commit)
	for path, etag := range before {
		require.Equal(t, http.StatusOK, ask(base+path, etag).Code, "%s after a push", path)
	}
}

// TestMatches reads If-None-Match as RFC 9110 has it, 8.8.3 and 13.1.2.
func TestMatches(t *testing.T) {
	t.Parallel()
	const tag = `"4b20c8"`
	ask := func(etag string, lines ...string) bool {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["If-None-Match"] = lines
		return matches(r, etag)
	}
	for _, etag := range []string{tag, "W/" + tag} {
		for _, sent := range []string{
			tag, "W/" + tag, "*", " * ", `"x", ` + tag, `"x",` + tag + `,`, `,, "a,b" ,	` + tag, "W/" + tag + `,"x"`, `"", ` + tag, `"ü",` + tag, `"a\",` + tag,
		} {
			require.True(t, ask(etag, sent), "%s with %s", etag, sent)
		}
		for _, sent := range []string{
			`"other"`, `"a,` + tag + `"`, `"a, ` + tag, `x, ` + tag, tag + "x", tag + ` "b"`, tag + tag, "w/" + tag, "W/ " + tag, "W/W/" + tag, "4b20c8", `"*"`, `*, ` + tag, `"a b", ` + tag, `"`, "W/", ",", "",
		} {
			require.False(t, ask(etag, sent), "%s with %s", etag, sent)
		}
		require.True(t, ask(etag, `"x"`, "broken", tag), "in another line")
		require.False(t, ask(etag))
	}
}
