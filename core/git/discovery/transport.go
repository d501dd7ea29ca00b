package discovery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"

	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/providers"
)

// DialTimeout is how long a connection to one address of a host may take.
const DialTimeout = 10 * time.Second

// Dial connects to an address as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// NewTransport returns a transport to a host, with HTTP/2, TLS 1.2 or later and bounds on
// what a host can make it wait for or keep. It connects by dial, which has to hold to the
// host's address policy, or through the operator's proxy if there is one, wherever that
// is. caFile names authorities beside the system's; "" names none.
//
// It fails for a proxy that is no URL, which it does not quote, and for a file that cannot
// be read or has no certificate.
func NewTransport(dial Dial, caFile string, proxy providers.Secret) (*http.Transport, error) {
	t := &http.Transport{
		// No Proxy but the operator's: it resolves names anew, after the check.
		DialContext:            dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    15 * time.Second,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true, // off by default with a dial function of one's own
		// A kept connection whose peer is gone without a word must not cost the
		// next request its stall time.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}
	if proxy != "" {
		address, err := url.Parse(proxy.Reveal())
		if err != nil {
			return nil, errors.New("the URL of the proxy is malformed") // without it
		}
		t.Proxy = http.ProxyURL(address)
		t.OnProxyConnectResponse = hosterror.ProxyRefused
		t.DialContext = (&net.Dialer{Timeout: DialTimeout}).DialContext
	}
	if caFile != "" {
		roots, err := authorities(caFile)
		if err != nil {
			return nil, err
		}
		t.TLSClientConfig.RootCAs = roots
	}
	return t, nil
}

// authorities returns the system's authorities and those of a file in PEM.
func authorities(caFile string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("load the system's certificates: %w", err)
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("no certificate in %q", caFile)
	}
	return roots, nil
}

// pinnedDial returns a dial function that connects to the address, whatever the
// name says. Without an address it resolves the name.
func pinnedDial(pinned netip.Addr) Dial {
	dialer := &net.Dialer{Timeout: DialTimeout}
	if !pinned.IsValid() {
		return dialer.DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return dialer.DialContext(ctx, network, net.JoinHostPort(pinned.String(), port))
	}
}
