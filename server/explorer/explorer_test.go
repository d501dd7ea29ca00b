package explorer_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/docs"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

func TestMain(m *testing.M) { os.Exit(servertest.Main(m)) }

// get reads a path of a server without a token.
func get(t *testing.T, base, path string) (status int, header http.Header, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
	require.NoError(t, err)
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header, string(text)
}

// TestExplorer_page holds the page against the document that the same server has.
func TestExplorer_page(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	status, header, page := get(t, s.URL, "/api")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "text/html; charset=utf-8", header.Get("Content-Type"))
	require.NotContains(t, header.Get("Content-Security-Policy"), "unsafe")
	require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")
	for _, never := range []string{"<script", " style=", "onclick", "<no value>", "ZgotmplZ", "&lt;nil&gt;", "raw HTML omitted"} {
		require.NotContains(t, page, never)
	}
	require.NotRegexp(t, `(?:src|href)="(?:https?:)?//`, page, "nothing is loaded from elsewhere")

	_, _, document := get(t, s.URL, "/api/openapi.json")
	var d struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	require.NoError(t, json.Unmarshal([]byte(document), &d))
	n := 0
	for path, methods := range d.Paths {
		for method, raw := range methods {
			if method == "head" || method == "parameters" {
				continue
			}
			var op struct {
				OperationID string   `json:"operationId"`
				Tags        []string `json:"tags"`
			}
			require.NoError(t, json.Unmarshal(raw, &op))
			if op.Tags[0] == "legacy" {
				continue
			}
			n++
			require.True(t, strings.Contains(page, `id="`+op.OperationID+`"`), "the page lacks %s: %s %s", op.OperationID, method, path)
		}
	}
	require.Greater(t, n, 60)

	_, _, found := get(t, s.URL, "/api?q=WEBHOOK+ping")
	require.Contains(t, found, `id="pingWebhook"`)
	require.NotContains(t, found, `id="createRepository"`)
	_, _, found = get(t, s.URL, `/api?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E`)
	require.NotContains(t, found, "<script")
	require.Contains(t, found, "No operation has all these words")
	status, header, _ = get(t, s.URL, "/api/explorer.css")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "text/css; charset=utf-8", header.Get("Content-Type"))
}

// TestExplorer_documents follows every link of llms.txt.
func TestExplorer_documents(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	status, header, list := get(t, s.URL, "/llms.txt")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "text/plain; charset=utf-8", header.Get("Content-Type"))
	links := regexp.MustCompile(`\]\(([^)]*)\)`).FindAllStringSubmatch(list, -1)
	entries, err := docs.Files.ReadDir(".")
	require.NoError(t, err)
	require.Len(t, links, len(entries)-1+3, "llms.txt itself is not in it, but the API and the page of the documents are")
	for _, link := range links {
		require.NotRegexp(t, `^(/|[a-z]+:)`, link[1], "a proxy may have the server below a path")
		status, _, body := get(t, s.URL, "/"+link[1])
		require.Equal(t, http.StatusOK, status, link[1])
		require.NotEmpty(t, body)
	}
	for _, path := range []string{"/docs/nope.md", "/docs/../server.go", "/docs/llms.txt", "/docs/embed.go", "//docs/", "//docs/api.md", "/docs//", "/docs//api.md", "/docs/.", "/docs/%2e%2e/go.mod"} {
		status, _, _ := get(t, s.URL, path)
		require.Equal(t, http.StatusNotFound, status, path)
	}

	status, header, page := get(t, s.URL, "/docs/")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "text/html; charset=utf-8", header.Get("Content-Type"))
	require.Contains(t, header.Get("Content-Security-Policy"), "default-src 'none'")
	require.NotContains(t, page, "`", "Markdown is rendered")
	for _, file := range entries {
		if strings.HasSuffix(file.Name(), ".md") {
			require.Contains(t, page, `<a href="`+file.Name()+`">`)
		}
	}
	for _, link := range regexp.MustCompile(`href="([^"#][^"]*)"`).FindAllStringSubmatch(page, -1) {
		require.NotRegexp(t, `^(/|[a-z]+:)`, link[1])
		to, err := url.JoinPath("/docs/", link[1])
		require.NoError(t, err)
		status, _, _ := get(t, s.URL, to)
		require.Equal(t, http.StatusOK, status, link[1])
	}
	status, header, again := get(t, s.URL, "/docs")
	require.Equal(t, http.StatusOK, status, "%s %s", header, again)
	require.Equal(t, page, again)
	status, _, _ = get(t, s.URL+"/docs", "?x=1")
	require.Equal(t, http.StatusOK, status)
	require.True(t, strings.HasPrefix(list, "# "))
}
