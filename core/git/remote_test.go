package git

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/git/internal/gittest"
)

func TestRemote_curlResolve(t *testing.T) {
	t.Parallel()
	four, six, mapped := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:192.0.2.2")
	for name, tc := range map[string]struct {
		remote Remote
		want   string
	}{
		"https":       {Remote{URL: "https://h.example/x.git", Addrs: []netip.Addr{four, six}}, "h.example:443:192.0.2.1,[2001:db8::1]"},
		"http":        {Remote{URL: "http://h.example/x.git", Addrs: []netip.Addr{mapped}}, "h.example:80:192.0.2.2"},
		"port":        {Remote{URL: "https://h.example:8443/x.git", Addrs: []netip.Addr{four}}, "h.example:8443:192.0.2.1"},
		"not pinned":  {Remote{URL: "https://h.example/x.git"}, ""},
		"literal":     {Remote{URL: "https://192.0.2.1/x.git", Addrs: []netip.Addr{four}}, ""},
		"literal six": {Remote{URL: "https://[2001:db8::1]/x.git", Addrs: []netip.Addr{six}}, ""},
	} {
		require.Equal(t, tc.want, tc.remote.curlResolve(), name)
	}
}

// Git goes to the checked address although the name leads nowhere, past every
// proxy of the environment, and takes the credential with it.
func TestInvariant19_gitConnectsToThePinnedAddress(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "x.git")
	gittest.Run(t, "", "init", "--quiet", "--bare", "--initial-branch=main", dir)
	one := gittest.AddCommit(t, dir, "refs/heads/main", "one")
	backend, err := url.Parse(gittest.HTTPBackend(t, root))
	require.NoError(t, err)
	g := newGit(t)
	r := Remote{URL: "http://pinned.invalid:" + backend.Port() + "/x.git", Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}
	out, err := g.Output(t.Context(), Command{Name: "ls-remote", Args: []string{r.URL}, Remote: &r})
	require.NoError(t, err)
	require.Contains(t, string(out), one+"\trefs/heads/main")
	r.Addrs = []netip.Addr{netip.MustParseAddr("127.0.0.2")} // nobody listens there
	require.Error(t, g.Run(t.Context(), Command{Name: "ls-remote", Args: []string{r.URL}, Remote: &r}))
}

func TestInvariant19_redirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(inside.Close)
	var authorized atomic.Int32
	outside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, p, ok := r.BasicAuth(); ok && p == "s3cret" {
			authorized.Add(1)
		}
		http.Redirect(w, r, inside.URL+r.URL.RequestURI(), http.StatusFound)
	}))
	t.Cleanup(outside.Close)
	g := newGit(t)
	r := Remote{URL: outside.URL + "/x.git", Username: "u", Password: "s3cret"}
	for _, name := range []string{"ls-remote", "fetch", "push"} {
		dir := gittest.NewBare(t)
		gittest.AddCommit(t, dir, "refs/heads/main", "one")
		err := g.Run(t.Context(), Command{Name: name, Dir: dir, Args: []string{r.URL, "refs/heads/main"}, Remote: &r})
		var exit *ExitError
		require.ErrorAs(t, err, &exit, name)
		class, text := hosterror.Classify(exit.Stderr, exit.Code)
		require.Equal(t, core.ClassMoved, class, text)
		require.True(t, hosterror.IsWithoutEffect(exit.Stderr), exit.Stderr)
	}
	require.Zero(t, reached.Load())
	require.Positive(t, authorized.Load())
}

func TestRemote_credentialInTheURLIsRefused(t *testing.T) {
	t.Parallel()
	r := Remote{URL: "http://u:s3cret@127.0.0.1:1/x.git"}
	err := newGit(t).Run(t.Context(), Command{Name: "ls-remote", Args: []string{r.URL}, Remote: &r})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "s3cret")
}

func TestIsWithoutEffect(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"fatal: unable to access 'https://h/x.git/': Failed to connect to h port 443: Connection refused": true,
		"fatal: unable to access 'https://h/x.git/': The requested URL returned error: 503":               true,
		"error: RPC failed; HTTP 403 curl 22 The requested URL returned error: 403":                       true,
		"error: RPC failed; HTTP 429 curl 22 The requested URL returned error: 429":                       true,
		"fatal: Authentication failed for 'https://h/x.git/'":                                             true,
		"fatal: remote error: access denied":                                                              true,
		"error: RPC failed; HTTP 502 curl 22 The requested URL returned error: 502":                       false,
		"error: RPC failed; HTTP 408 curl 22 The requested URL returned error: 408":                       false,
		"error: RPC failed; curl 52 Empty reply from server\nfatal: the remote end hung up unexpectedly":  false,
		"remote: fatal: remote error: I say what I like\nfatal: the remote end hung up unexpectedly":      false,
		"remote: Authentication failed for your hook\nerror: RPC failed; curl 56 reset":                   false,
	} {
		require.Equal(t, want, hosterror.IsWithoutEffect(text), text)
	}
}
