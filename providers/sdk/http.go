package sdk

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/netguard"
)

// HTTPClient returns the client for a plugin's own calls to a host: those of
// its API, never git's.
//
// It keeps to the policy: only public addresses unless AllowPrivate is set,
// checked on the address that is connected to; CAFile is trusted in addition to
// the system's certificates. With Proxy, the host's addresses are resolved and
// checked here before the proxy is asked, but the proxy resolves the name once more;
// nothing of the environment chooses a proxy. A redirect is an error and not followed, as it would carry the
// credential to another place. Calls end after 30 seconds at most; give each
// its context too.
//
// Its errors wrap a [*providers.Error], found with errors.As: for a redirect
// [providers.CodeUnavailable] with the HTTP status, for a refused address
// [providers.CodeInvalidArgument], for a CAFile that cannot be used
// [providers.CodeInvalidConfig], for a host that cannot be reached
// [providers.CodeUnavailable].
//
// Make one client per host in Configure and keep it: it holds connections.
func HTTPClient(policy providers.HostPolicy) *http.Client {
	tlsConfig, err := trust(policy.CAFile)
	if err != nil {
		return &http.Client{Transport: failing{err}}
	}
	dialer := &net.Dialer{
		Timeout: 10 * time.Second,
		Control: netguard.Control(policy.AllowPrivate),
	}
	var proxy func(*http.Request) (*url.URL, error)
	if policy.Proxy != "" {
		through, err := url.Parse(policy.Proxy.Reveal())
		if err != nil || providers.CheckProxy(policy.Proxy) != nil {
			return &http.Client{Transport: failing{providers.Errorf(providers.CodeInvalidConfig, "the proxy of host %s is malformed", policy.Host)}}
		}
		proxy = http.ProxyURL(through)
		dialer.Control = nil // it dials the operator's proxy, wherever that is
	}
	return &http.Client{
		Timeout: 30 * time.Second,
		Transport: &guarded{policy: policy, next: &http.Transport{
			Proxy:                 proxy,
			DialContext:           dialer.DialContext,
			TLSClientConfig:       tlsConfig,
			ForceAttemptHTTP2:     true, // a custom dialer would turn it off
			TLSHandshakeTimeout:   10 * time.Second,
			ResponseHeaderTimeout: 25 * time.Second,
			IdleConnTimeout:       90 * time.Second,
			MaxIdleConnsPerHost:   4,
			MaxConnsPerHost:       16,
			// A host that answers with endless headers must not fill the memory.
			MaxResponseHeaderBytes: 1 << 20,
		}},
	}
}

// trust returns the TLS configuration with the certificates of caFile added to
// the system's.
func trust(caFile string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, providers.Errorf(providers.CodeInvalidConfig, "ca_file cannot be read: %v", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a machine without system certificates
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, providers.Errorf(providers.CodeInvalidConfig, "ca_file %s holds no PEM certificate", caFile)
	}
	config.RootCAs = pool
	return config, nil
}

// guarded refuses redirects and gives transport failures a type.
type guarded struct {
	policy providers.HostPolicy
	next   *http.Transport
}

// RoundTrip sends one request.
func (g *guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if g.policy.Proxy != "" {
		// Where the client dials itself, its dialer checks the address.
		if _, err := netguard.Pin(r.Context(), net.DefaultResolver, r.URL.Host, g.policy.AllowPrivate); err != nil {
			if r.Body != nil {
				_ = r.Body.Close()
			}
			return nil, err
		}
	}
	resp, err := g.next.RoundTrip(r)
	if err != nil {
		var typed *providers.Error
		if errors.As(err, &typed) || r.Context().Err() != nil {
			return nil, err
		}
		return nil, &unreachable{
			typed: providers.Errorf(providers.CodeUnavailable, "%s cannot be reached: %v", r.URL.Host, reason(err)),
			cause: err,
		}
	}
	if location := resp.Header.Get("Location"); isRedirect(resp.StatusCode) && location != "" {
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be used again
		_ = resp.Body.Close()
		return nil, redirected(r, resp.StatusCode, location)
	}
	return resp, nil
}

// CloseIdleConnections closes the connections that are not in use; it is what
// [http.Client.CloseIdleConnections] calls.
func (g *guarded) CloseIdleConnections() { g.next.CloseIdleConnections() }

func isRedirect(code int) bool {
	switch code {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// redirected names the host that the redirect leads to and nothing more of the
// location, whose query may hold a token.
func redirected(r *http.Request, code int, location string) error {
	target := "elsewhere"
	if u, err := r.URL.Parse(location); err == nil && u.Host != "" {
		target = "to " + u.Scheme + "://" + u.Host
	}
	return &providers.Error{
		Code:       providers.CodeUnavailable,
		HTTPStatus: code,
		Message: fmt.Sprintf("%s redirects %s, and redirects are not followed; if the repository or the API has moved, use its new address",
			r.URL.Host, target),
	}
}

// unreachable keeps the cause, so that a caller can tell a time-out from a
// failed TLS handshake, beside the typed error.
type unreachable struct {
	typed *providers.Error
	cause error
}

// Error returns the message of the typed error.
func (u *unreachable) Error() string { return u.typed.Message }

// Unwrap returns the typed error and the cause.
func (u *unreachable) Unwrap() []error { return []error{u.typed, u.cause} }

// reason shortens what package net reports to its innermost part: the
// addresses around it repeat the host.
func reason(err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return errors.New(dns.Err)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}

// failing answers every request with one error.
type failing struct{ err error }

// RoundTrip returns the error.
func (f failing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return nil, f.err
}

// ParseHost checks the host of a locator, "host" or "host:port", and returns it
// in lower case. Errors: [providers.CodeInvalidArgument].
func ParseHost(host string) (string, error) { return netguard.ParseHost(host) }
