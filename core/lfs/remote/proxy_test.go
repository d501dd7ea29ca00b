package remote_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/providers"
)

// forwardProxy is a forward proxy that wants a password, for TLS alone.
type forwardProxy struct {
	mu      sync.Mutex
	tunnels []string
}

const proxyPassword = "planted-proxy-password"

func (p *forwardProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	request := http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	if user, password, _ := request.BasicAuth(); user != "egress" || password != proxyPassword || r.Method != http.MethodConnect {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	p.mu.Lock()
	p.tunnels = append(p.tunnels, r.Host)
	p.mu.Unlock()
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

// hosts returns where tunnels were made to since the last call.
func (p *forwardProxy) hosts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.tunnels
	p.tunnels = nil
	return out
}

// The LFS server and where it keeps its objects are reached through the operator's proxy,
// each by its own block, and addresses are checked before it is asked.
func TestClient_proxy(t *testing.T) {
	t.Parallel()
	h, storage := newTLSHost(t), newTLSHost(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	var authorities []byte
	for _, s := range []*host{h, storage} {
		authorities = append(authorities, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})...)
	}
	require.NoError(t, os.WriteFile(ca, authorities, 0o600))
	proxy := &forwardProxy{}
	through := httptest.NewServer(proxy)
	defer through.Close()
	address := func(password string) providers.Secret {
		return providers.Secret("http://egress:" + password + "@" + through.Listener.Addr().String())
	}
	c, b := h.client(t)
	defer b.service.CloseIdle() // before the proxy is closed
	b.plugin.ResolveFunc = func(context.Context, providers.ResolveRequest) (providers.Remote, error) {
		return providers.Remote{URL: h.URL + "/o/a.git", Host: h.addr(), Path: "o/a"}, nil
	}
	use := func(proxy providers.Secret) {
		b.plugin.Edit(func(_ *providers.Manifest, p *providers.HostPolicy) { p.Scheme, p.CAFile, p.Proxy = "https", ca, proxy })
	}
	use(address(proxyPassword))
	b.plugin.AddHost(providers.HostPolicy{Host: storage.addr(), Scheme: "https", AllowPrivate: true, CAFile: ca, Proxy: address(proxyPassword)})
	storage.mux.HandleFunc("GET /x", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "good") })
	ask := func(href string) error {
		h.actions(map[string]action{"download": {"href": href}})
		_, err := get(t.Context(), c, lfs.Transfer{Pointer: pointer("good")}, 0)
		return err
	}
	require.NoError(t, ask(storage.URL+"/x"))
	require.Equal(t, []string{h.addr(), storage.addr()}, proxy.hosts())

	b.plugin.AddHost(providers.HostPolicy{Host: "127.0.0.2:1", Scheme: "https", Proxy: address(proxyPassword)})
	err := ask("https://127.0.0.2:1/x")
	require.Contains(t, requireClass(t, core.ClassRefused, err), "allow_private")
	require.NotContains(t, proxy.hosts(), "127.0.0.2:1")

	use(address("wrong-" + proxyPassword))
	err = ask(storage.URL + "/x")
	require.Equal(t, hosterror.ProxyWantsLogin, requireClass(t, core.ClassRefused, err))
	require.NotContains(t, sprint(err), proxyPassword)
	dead := "http://egress:" + proxyPassword + "@127.0.0.1:1"
	use(providers.Secret(dead))
	err = ask(storage.URL + "/x")
	require.Equal(t, "the server's own proxy cannot be reached", requireClass(t, core.ClassNetwork, err))
	require.NotContains(t, sprint(err), proxyPassword)
}
