package git

import (
	"encoding/base64"
	"net/netip"
	"net/url"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/netguard"
)

// Remote is what one operation needs to reach an upstream. It lives for that
// operation only.
type Remote struct {
	URL      string           // https://host/path, no user info
	LFSURL   string           // of its LFS server, no user info; empty: what Git LFS derives from URL
	Username string           // with Password: HTTP Basic; both empty: anonymous
	Password providers.Secret // see Username and Header
	Header   string           // not empty: the name of a header whose value is Password, instead of HTTP Basic
	Addrs    []netip.Addr     // checked addresses; connections go to these and to nothing else; empty: no pinning (tests)
	CAFile   string           // PEM bundle that verifies the host's certificate
	// Proxy is the URL of a forward proxy, with user and password if it wants some;
	// "" is none. Connections then go to it alone, and it resolves the host's name:
	// Addrs were checked, and the proxy must refuse what they were checked for.
	Proxy providers.Secret
}

// Anonymous reports whether no credential is sent.
func (r Remote) Anonymous() bool { return r.Username == "" && r.Password == "" }

// Secrets returns what must not be seen of the credential and the proxy: the
// password, or the header's value and the token in it, and the proxy's password.
func (r Remote) Secrets() []providers.Secret {
	proxy := providers.HostPolicy{Proxy: r.Proxy}.ProxySecrets()
	if r.Header == "" {
		return append([]providers.Secret{r.Password}, proxy...)
	}
	return append(r.Password.Parts(), proxy...)
}

// SameCredential reports whether both remotes are opened by the same credential.
func (r Remote) SameCredential(other Remote) bool {
	return r.Username == other.Username && r.Password == other.Password && r.Header == other.Header
}

// Authorization returns the header that carries the credential, "" and "" if
// there is none.
func (r Remote) Authorization() (name string, value providers.Secret) {
	switch {
	case r.Anonymous():
		return "", ""
	case r.Header != "":
		return r.Header, r.Password
	}
	return "Authorization", providers.Secret("Basic " + base64.StdEncoding.EncodeToString([]byte(r.Username+":"+r.Password.Reveal())))
}

// config returns the git configuration that makes git reach the remote as
// allowed. It travels by environment (GIT_CONFIG_COUNT and friends), never by
// argv or file, because it holds the credential.
func (r Remote) config() []Config {
	cfg := []Config{
		// A redirect could carry the credential to another host, or lead into
		// a private network behind the address check.
		{"http.followRedirects", "false"},
		// None but the operator's, as none of the environment is in git's. It does
		// its own resolving, after the address check.
		{"http.proxy", r.Proxy.Reveal()},
		// A URL with a password in it must never get as far as a log.
		{"transfer.credentialsInUrl", "die"},
		{"protocol.version", "2"},
		// Larger POST buffers let a small pack go out with a Content-Length in
		// one request instead of a probe and a chunked one; some hosts'
		// proxies refuse chunked bodies.
		{"http.postBuffer", "16777216"},
		// An empty value resets the list of helpers that the system's git may
		// have compiled in.
		{"credential.helper", ""},
	}
	if name, value := r.Authorization(); name != "" {
		// For this URL only. Curl takes Authorization alone out of a request
		// that it redirects to another host; any other header would go along,
		// which is one more reason to follow no redirect.
		cfg = append(cfg, Config{"http." + r.URL + ".extraHeader", name + ": " + value.Reveal()})
	}
	if p := r.curlResolve(); p != "" {
		cfg = append(cfg, Config{"http.curloptResolve", p})
	}
	if u, err := url.Parse(r.Proxy.Reveal()); r.Proxy != "" && err == nil && u.User != nil {
		// At once, and not after an answer 407 to a first try without.
		cfg = append(cfg, Config{"http.proxyAuthMethod", "basic"})
	}
	if r.CAFile != "" {
		cfg = append(cfg, Config{"http.sslCAInfo", r.CAFile})
	}
	return cfg
}

// slowest is the configuration that ends what stalls where processes cannot be
// watched: under 1 kB/s for 60 s. It is the poorer means, see stallWatch.
func slowest() []Config {
	return []Config{{"http.lowSpeedLimit", "1000"}, {"http.lowSpeedTime", "60"}}
}

// curlResolve pins the host to the checked addresses: libcurl then asks no
// resolver, so a name that changes between check and use reaches nothing else.
func (r Remote) curlResolve() string {
	if len(r.Addrs) == 0 || r.Proxy != "" {
		return ""
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80"}[u.Scheme]
		if port == "" {
			port = "443"
		}
	}
	return netguard.CurlResolve(u.Hostname(), port, r.Addrs)
}
