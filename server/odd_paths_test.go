package server_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestServer_pathsWithControlCharacters works with files whose names the API
// would not write, but which git takes on a push.
func TestServer_pathsWithControlCharacters(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	w := newWrites(t, false)
	c := w.Client(t, w.repo).Clone("")
	odd := []string{"fol\nder/a\x01b\tc\x7f", "line\nfeed", "\x1b[31mred", "missing\n blob 3"}
	for _, path := range append(odd, "plain") {
		file := filepath.Join(c.Dir, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(path+"\n"), 0o600))
	}
	c.Git("add", "-A")
	c.Git("commit", "--quiet", "-m", "odd")
	c.Git("push", "--quiet", w.Remote(w.repo), "HEAD:refs/heads/main")
	tip := c.Head()
	for _, path := range odd {
		query := "path=" + url.QueryEscape(path)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL+"/api/repos/"+url.PathEscape(w.repo)+"/file?"+query, nil)
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+w.Token(t, w.repo))
		r.Close = true
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode, "%q: %s", path, text)
		require.Equal(t, path+"\n", string(text))

		a := w.API(t, http.MethodGet, w.repo, "/blame?"+query, nil)
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		require.Equal(t, path, a.At("path"))
		require.Equal(t, path, a.At("lines").([]any)[0].(m)["original_path"])
		a = w.API(t, http.MethodGet, w.repo, "/commits?"+query, nil)
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		require.Len(t, a.At("commits"), 1)
		require.Equal(t, tip, a.At("commits").([]any)[0].(m)["sha"])
		a = w.API(t, http.MethodGet, w.repo, "/diff?ref=main&"+query, nil)
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		require.Equal(t, path, a.At("files").([]any)[0].(m)["path"])
		a = w.API(t, http.MethodGet, w.repo, "/file?path="+url.QueryEscape(path+"\nno"), nil)
		require.Equal(t, http.StatusNotFound, a.Status, a.Raw)
	}
	a := w.API(t, http.MethodGet, w.repo, "/files?path="+url.QueryEscape("fol\nder"), nil)
	require.Equal(t, []any{http.StatusOK, []any{odd[0]}}, []any{a.Status, a.At("paths")}, a.Raw)
	a = w.API(t, http.MethodGet, w.repo, "/file?path=a%00b", nil)
	require.Equal(t, http.StatusBadRequest, a.Status, a.Raw)

	w.commit(t, m{"target_branch": "cleaned", "base_branch": "main"}, file{path: odd[0], del: true}, file{path: odd[1], del: true}, file{path: "/" + odd[2], del: true}, file{path: odd[3], del: true})
	require.Equal(t, map[string]string{"plain": "100644 plain"}, w.tree(t, "cleaned"))
	w.commit(t, nil, file{path: "fol\nder", del: true})
	require.NotContains(t, w.tree(t, "main"), odd[0])
	a = w.pack(t, nil, file{path: odd[1], data: "new"})
	require.Equal(t, http.StatusBadRequest, a.Status, a.Raw)
	w.requireSound(t)
}
