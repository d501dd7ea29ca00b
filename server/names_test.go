package server_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/internal/servertest"
)

// TestServer_namesOfEveryScript uses a repository with a name of everything that
// URLs, routes and git take for something else, as a person does: with the
// address that the API gives, with and without ".git", and on all three remotes.
func TestServer_namesOfEveryScript(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	for _, name := range []string{"team/Größe 1/c++", "日本語/a@b:c|d#e%2Ff~g?h&i=j;k[l]", "-n/a..b/info/refs", `back\slash "quoted" 'name'`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.Create(t, name)
			address := s.Get(t, name).At("http_url").(string)
			require.Equal(t, name, s.Get(t, name).At("repo_name"))
			parsed, err := url.Parse(address)
			require.NoError(t, err)
			require.Equal(t, "/"+name+".git", parsed.Path)
			bare := strings.TrimSuffix(address, ".git")

			c := s.Client(t, name).Clone(address)
			tip := c.Commit("one")
			c.Git("push", "--quiet", bare, "HEAD:refs/heads/main")
			c.Git("push", "--quiet", bare+"+ephemeral", "HEAD:refs/heads/draft")
			c.Git("push", "--quiet", bare+"+import", "HEAD:refs/heads/imported")
			require.Equal(t, map[string]string{"HEAD": tip, "refs/heads/main": tip, "refs/heads/imported": tip}, c.LsRemote(bare))
			require.Equal(t, map[string]string{"refs/heads/draft": tip}, c.LsRemote(bare+"+ephemeral.git"))
			fresh := s.Client(t, name).Clone(bare)
			text, err := os.ReadFile(filepath.Join(fresh.Dir, "file.txt"))
			require.NoError(t, err)
			require.Equal(t, "one\n", string(text))
			require.Equal(t, tip, s.API(t, http.MethodGet, name, "/branch?name=main", nil).At("branch.head_sha"))
			found := s.Call(t, http.MethodGet, "/api/repos?q="+url.QueryEscape(name), s.Token(t, "org"), nil)
			require.Equal(t, http.StatusOK, found.Status, found.Raw)
			require.Len(t, found.At("repos"), 1)
			a := s.API(t, http.MethodDelete, name, "", nil)
			require.Equal(t, http.StatusOK, a.Status, a.Raw)
		})
	}
	// A scheme has no case, neither here nor on the remotes.
	s.Create(t, "plain")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/api/repos/plain", nil)
	require.NoError(t, err)
	r.Header.Set("Authorization", "bEARER "+s.Token(t, "plain"))
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
}
