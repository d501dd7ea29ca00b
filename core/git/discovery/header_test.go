package discovery

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/git/internal/gittest"
)

func newGit(t *testing.T) *git.Git {
	t.Helper()
	g, err := git.New(t.Context(), git.Options{})
	require.NoError(t, err)
	return g
}

// headerForms are the two forms of a credential that is one header: the
// standard one, and one of a host's own.
func headerForms() []git.Remote {
	return []git.Remote{
		{Header: "Authorization", Password: "Bearer planted-header-token"},
		{Header: "X-Kiln-Token", Password: "planted-header-token"},
	}
}

// headerHost serves the repositories in root to requests that carry the header
// and no Basic credentials. It counts the ones that it refused.
func headerHost(t *testing.T, root string, want git.Remote, config ...string) (address string, refused *atomic.Int32) {
	t.Helper()
	backend, err := url.Parse(gittest.HTTPBackend(t, root, config...))
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(backend)
	refused = &atomic.Int32{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(want.Header) != want.Password.Reveal() {
			refused.Add(1)
			w.Header().Set("WWW-Authenticate", `Bearer realm="Kiln"`)
			http.Error(w, "no token, or the wrong one: "+r.Header.Get(want.Header), http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, refused
}

// Real git lists, fetches and pushes at a host that wants a header and knows no
// Basic authentication, and so does the listing without git.
func TestRemote_headerCredential(t *testing.T) {
	t.Parallel()
	for _, form := range headerForms() {
		t.Run(form.Header, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			there := filepath.Join(root, "x.git")
			gittest.Run(t, "", "init", "--quiet", "--bare", "--initial-branch=main", there)
			one := gittest.AddCommit(t, there, "refs/heads/main", "one")
			address, refused := headerHost(t, root, form, "http.receivepack=true")
			g, r := newGit(t), form
			r.URL = address + "/x.git"

			out, err := g.Output(t.Context(), git.Command{Name: "ls-remote", Args: []string{r.URL}, Remote: &r})
			require.NoError(t, err)
			require.Contains(t, string(out), one)
			adv, err := newTestDiscoverer(t).Refs(t.Context(), r, allPrefixes)
			require.NoError(t, err)
			require.Equal(t, one, string(adv.Refs["refs/heads/main"]))

			here := gittest.NewBare(t)
			require.NoError(t, g.Run(t.Context(), git.Command{Name: "fetch", Dir: here, Args: []string{r.URL, "refs/heads/main"}, Remote: &r}))
			gittest.AddCommit(t, here, "refs/heads/new", "two")
			require.NoError(t, g.Run(t.Context(), git.Command{Name: "push", Dir: here, Args: []string{r.URL, "refs/heads/new"}, Remote: &r}))
			require.Equal(t, gittest.Run(t, here, "rev-parse", "refs/heads/new"), gittest.Run(t, there, "rev-parse", "refs/heads/new"))
			require.Zero(t, refused.Load(), "every request carries it from the start")

			wrong := r
			wrong.Password = "Bearer other-planted-token"
			err = g.Run(t.Context(), git.Command{Name: "ls-remote", Args: []string{r.URL}, Remote: &wrong})
			var exit *git.ExitError
			require.ErrorAs(t, err, &exit)
			class, text := hosterror.Classify(exit.Stderr, exit.Code)
			require.Equal(t, core.ClassAuth, class, text)
			_, err = newTestDiscoverer(t).Refs(t.Context(), wrong, allPrefixes)
			var refusal *hosterror.Error
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, core.ClassAuth, refusal.Class)
			require.NotContains(t, refusal.HostText+err.Error()+exit.Error(), "planted", "the host echoes the token")
		})
	}
}

// A host that redirects elsewhere does not get the header carried there. Curl
// would take out Authorization alone.
func TestInvariant19_redirectGetsNoHeader(t *testing.T) {
	t.Parallel()
	for _, form := range headerForms() {
		var mu sync.Mutex
		var reached []http.Header
		elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			reached = append(reached, r.Header)
		}))
		t.Cleanup(elsewhere.Close)
		var carried atomic.Int32
		host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get(form.Header) == form.Password.Reveal() {
				carried.Add(1)
			}
			http.Redirect(w, r, elsewhere.URL+r.URL.RequestURI(), http.StatusTemporaryRedirect)
		}))
		t.Cleanup(host.Close)
		g, r := newGit(t), form
		r.URL = host.URL + "/x.git"
		for _, name := range []string{"ls-remote", "fetch", "push"} {
			dir := gittest.NewBare(t)
			gittest.AddCommit(t, dir, "refs/heads/main", "one")
			err := g.Run(t.Context(), git.Command{Name: name, Dir: dir, Args: []string{r.URL, "refs/heads/main"}, Remote: &r})
			require.Error(t, err, name)
		}
		_, err := newTestDiscoverer(t).Refs(t.Context(), r, allPrefixes)
		require.Error(t, err)
		require.GreaterOrEqual(t, carried.Load(), int32(4), "the host itself does get it")
		mu.Lock()
		require.Empty(t, reached)
		mu.Unlock()
	}
}
