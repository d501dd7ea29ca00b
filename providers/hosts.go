package providers

import (
	"net/url"
	"strings"
)

// FindHost returns the policy for host: its own if hosts has one, else the
// default policy (https, public addresses only).
func FindHost(hosts []HostPolicy, host string) HostPolicy {
	host = strings.ToLower(host)
	for _, h := range hosts {
		if strings.ToLower(h.Host) == host {
			if h.Scheme == "" {
				h.Scheme = "https"
			}
			return h
		}
	}
	return HostPolicy{Host: host, Scheme: "https"}
}

// NoProxy is [HostPolicy.Proxy] of a host that is reached directly whatever the
// default is.
const NoProxy Secret = "none"

// through returns the policy with the default proxy where it says nothing of one.
func (h HostPolicy) through(proxy Secret) HostPolicy {
	switch h.Proxy {
	case "":
		h.Proxy = proxy
	case NoProxy:
		h.Proxy = ""
	}
	return h
}

// BaseURL returns scheme, host and base path: what the URLs of the host's pages and
// of its git begin with, without a slash at the end.
func (h HostPolicy) BaseURL() string { return h.Scheme + "://" + h.Host + h.BasePath }

// ProxySecrets returns what must not be seen of the proxy: its URL and its password.
func (h HostPolicy) ProxySecrets() []Secret {
	if h.Proxy == "" {
		return nil
	}
	secrets := []Secret{}
	if u, err := url.Parse(h.Proxy.Reveal()); err == nil && u.User != nil {
		password, _ := u.User.Password()
		for _, text := range []string{password, u.User.String(), h.Proxy.Reveal()} {
			if text != "" {
				secrets = append(secrets, Secret(text))
			}
		}
	}
	return secrets
}

// CheckProxy checks the URL of a proxy. Errors: [CodeInvalidConfig], without the URL.
func CheckProxy(proxy Secret) error {
	if proxy == "" || proxy == NoProxy {
		return nil
	}
	u, err := url.Parse(proxy.Reveal())
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Port() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return Errorf(CodeInvalidConfig, "a proxy is written like \"http://user:password@proxy.example.org:3128\", with its port")
	}
	return nil
}
