package upstream_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
)

const proxyPassword = "planted-proxy-password"

// forwardProxy is a forward proxy that wants a password: tunnels alone, for TLS.
type forwardProxy struct {
	mu      sync.Mutex
	tunnels []string
	refused int
}

func (p *forwardProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	user, password, _ := request.BasicAuth()
	p.mu.Lock()
	good := user == "egress" && password == proxyPassword && r.Method == http.MethodConnect
	if good {
		p.tunnels = append(p.tunnels, r.Host)
	} else {
		p.refused++
	}
	p.mu.Unlock()
	if !good {
		w.Header().Set("Proxy-Authenticate", `Basic realm="egress"`)
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	to, err := new(net.Dialer).DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	from, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		_ = to.Close()
		return
	}
	_, _ = fmt.Fprint(from, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}()
	_, _ = io.Copy(from, to)
	_ = from.Close()
}

func (p *forwardProxy) count() (tunnels, refused int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.tunnels), p.refused
}

// Listings and git go through the operator's proxy, with its password; addresses are
// checked before it is asked, and no error tells the password.
func TestService_proxy(t *testing.T) {
	t.Parallel()
	w := coretest.NewWorld(t, coretest.Options{Forge: forgetest.ForgeOptions{HostKind: forgetest.HostGitHubPublic, TLS: true}})
	r := w.Synced("a")
	tip := w.ForgeCommit(r, "refs/heads/main", "one")
	w.Plugin.ResolveFunc = func(_ context.Context, q providers.ResolveRequest) (providers.Remote, error) {
		path := q.Locator.Owner + "/" + q.Locator.Name
		return providers.Remote{URL: w.Forge.CloneURL(path), Host: q.Locator.Host, Path: path, PushSupported: true}, nil
	}
	proxy := &forwardProxy{}
	srv := httptest.NewServer(proxy)
	defer srv.Close()
	use := func(user string) {
		w.Plugin.Edit(func(_ *providers.Manifest, policy *providers.HostPolicy) {
			policy.Proxy = providers.Secret("http://" + user + srv.Listener.Addr().String())
		})
	}
	git := func() (string, error) {
		var out []byte
		err := w.Upstreams.Do(t.Context(), r, providers.OpFetch, func(remote git.Remote) (err error) {
			out, err = w.Git.Output(t.Context(), gitListing(remote))
			return err
		})
		return string(out), err
	}

	use("egress:" + proxyPassword + "@")
	adv, err := w.Upstreams.Refs(t.Context(), r, []string{"refs/heads/"})
	require.NoError(t, err)
	require.Equal(t, tip, adv.Refs["refs/heads/main"])
	out, err := git()
	require.NoError(t, err)
	require.Contains(t, out, string(tip))
	tunnels, refused := proxy.count()
	require.GreaterOrEqual(t, tunnels, 2, "one for the listing, one for git")
	require.Zero(t, refused, "the password goes with the first request")

	use("egress:" + proxyPassword + "-wrong@")
	_, err = w.Upstreams.Refs(t.Context(), r, []string{"refs/heads/"})
	class, text := upstream.Classify(err)
	require.Equal(t, core.ClassRefused, class)
	require.Equal(t, "the server's own proxy answered 407 Proxy Authentication Required", text)
	require.NotContains(t, err.Error(), proxyPassword)
	_, err = git()
	require.Error(t, err)
	class, text = upstream.Classify(err)
	require.Equal(t, core.ClassRefused, class)
	require.Equal(t, "the server's own proxy answered 407 Proxy Authentication Required", text, "git's words for it, too")
	require.NotContains(t, err.Error()+text, proxyPassword)

	_, before := proxy.count()
	w.Plugin.Edit(func(_ *providers.Manifest, policy *providers.HostPolicy) { policy.AllowPrivate = false })
	_, err = w.Upstreams.Refs(t.Context(), r, []string{"refs/heads/"})
	require.Equal(t, core.KindPermission, core.KindOf(err))
	require.ErrorContains(t, err, "allow_private")
	_, after := proxy.count()
	require.Equal(t, before, after, "the proxy was asked about a private address")
}

func gitListing(remote git.Remote) git.Command {
	return git.Command{Name: "ls-remote", Args: []string{remote.URL}, Remote: &remote}
}
