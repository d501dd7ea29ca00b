package e2e

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
)

// egress is a forward proxy of an operator that wants a password: tunnels for TLS, and
// requests with an absolute URL for plain HTTP (RFC 9110 sections 9.3.6 and 7.1).
type egress struct {
	*httptest.Server
	password string
	passed   atomic.Int64
}

// egressUser is who may use it.
const egressUser = "egress-user"

func newEgress() *egress {
	p := &egress{password: rand.Text()}
	p.Server = httptest.NewServer(p)
	return p
}

// ServeHTTP serves one request of a client.
func (p *egress) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	login := http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	if user, password, _ := login.BasicAuth(); user != egressUser || password != p.password {
		w.Header().Set("Proxy-Authenticate", `Basic realm="egress"`)
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	p.passed.Add(1)
	if r.Method != http.MethodConnect {
		forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.Host = r.In.Host }}
		forward.ServeHTTP(w, r)
		return
	}
	to, err := new(net.Dialer).DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer to.Close()
	from, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer from.Close()
	_, _ = io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n")
	go func() {
		_, _ = io.Copy(to, from)
		_ = to.Close()
	}()
	_, _ = io.Copy(from, to)
}

// egressCommand is the command egress of scripts.
func (w *world) egressCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: egress start|used|lock NAME")
	}
	name := args[1]
	p := w.proxies[name]
	if p == nil && args[0] != "start" {
		ts.Fatalf("no proxy %q was started", name)
	}
	switch args[0] {
	case "start":
		p = newEgress()
		w.proxies[name] = p
		ts.Defer(p.Close)
		w.keep(ts, name, p.password, egressUser)
		// The file that --egress-proxy-file names: a URL with the password.
		ts.Check(os.WriteFile(w.secretFile(name+".url"), []byte(fmt.Sprintf("http://%s:%s@%s\n", egressUser, p.password, p.Listener.Addr())), 0o600))
	case "used":
		fmt.Fprintln(ts.Stdout(), strconv.FormatInt(p.passed.Swap(0), 10))
	case "lock":
		p.password = rand.Text() // nobody knows it
	default:
		ts.Fatalf("unknown verb %q", args[0])
	}
}
