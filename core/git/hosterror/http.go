package hosterror

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/headwater-git/headwater/core"
)

// maxRetryAfter is the longest wait that a host may ask for.
const maxRetryAfter = 24 * time.Hour

// RetryAfter reads the header of RFC 9110, section 10.2.3: seconds or a date; 0 is none.
// A date is measured against the host's own clock, which is the one it means.
func RetryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	var wait time.Duration
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		if now, err := http.ParseTime(h.Get("Date")); err == nil {
			wait = at.Sub(now)
		}
	}
	return min(max(wait, 0), maxRetryAfter)
}

// ProxyRefused turns a proxy's refusal of a tunnel into an [*Error], nil for one that it
// made: it is an [http.Transport.OnProxyConnectResponse].
func ProxyRefused(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	e := &Error{
		Class:    core.ClassRefused,
		HostText: strings.TrimSpace(fmt.Sprintf("the server's own proxy answered %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))),
	}
	if answer.StatusCode >= 500 {
		e.Class = core.ClassNetwork // it cannot reach the host
	}
	return e
}

// OfConnection makes the error of a request to a host that got no whole answer.
func OfConnection(err error) *Error {
	e := &Error{Class: core.ClassNetwork, HostText: "the connection to the host failed", Err: err}
	var (
		timeout net.Error
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		op      *net.OpError
	)
	switch {
	case errors.As(err, &dns):
		e.HostText = "the host's name could not be resolved"
	case errors.As(err, &op) && op.Op == "proxyconnect":
		e.HostText = "the server's own proxy cannot be reached"
	case errors.As(err, &timeout) && timeout.Timeout():
		e.Class, e.HostText = core.ClassTimeout, "the host did not answer in time"
	case errors.As(err, &cert):
		e.HostText = "the host's certificate is not trusted: " + Text(cert.Err.Error())
	case errors.As(err, &record), errors.As(err, &op) && op.Op == "remote error": // the peer's TLS alert
		e.HostText = "the secure connection to the host could not be set up"
	case errors.Is(err, syscall.ECONNREFUSED):
		e.HostText = "the host refused the connection"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		e.HostText = "there is no route to the host"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		e.HostText = "the host ended the connection early"
	}
	return e
}
