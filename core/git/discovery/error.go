package discovery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/git/pktline"
)

const (
	maxErrorBody  = 4 << 10        // bytes read of an answer that is an error
	maxRetryAfter = 24 * time.Hour // longest wait a host may ask for
)

// Failures of discovery that no other package knows, wrapped by [hosterror.Error].
var (
	errTooLarge    = errors.New("the list of refs is too large")
	errNotSmart    = errors.New("the answer is not git's smart HTTP protocol")
	errErrorPacket = errors.New("the host answered with an error packet")
	errBadResponse = errors.New("the host's answer is malformed")
)

// statusError makes the error of an answer that is not 200. It reads from the
// body, but does not close it.
func statusError(resp *http.Response, r git.Remote) *hosterror.Error {
	e := &hosterror.Error{Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header)}
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media == "text/plain" {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		e.HostText = hosterror.Text(string(body), r.Secrets()...)
	}
	e.Class = hosterror.ClassOfStatus(resp.StatusCode, e.HostText)
	if e.Class == core.ClassMoved {
		// Worth more than a page that says "Moved Permanently". A query may hold
		// a token, and where it leads is not needed to tell a person.
		e.HostText = "the repository has moved"
		if to, err := resp.Location(); err == nil {
			e.HostText = hosterror.Text("the repository has moved to "+to.Host+strings.TrimSuffix(to.EscapedPath(), "/info/refs"), r.Secrets()...)
		}
	}
	if resp.StatusCode == http.StatusProxyAuthRequired {
		e.HostText = hosterror.ProxyWantsLogin // a proxy says that, and never the host
	}
	if e.HostText == "" {
		e.HostText = strings.TrimSpace(fmt.Sprintf("the host answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	}
	return e
}

// proxyError turns a proxy's refusal of a tunnel into a [*hosterror.Error].
func proxyError(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	e := &hosterror.Error{
		Class:    core.ClassRefused,
		HostText: strings.TrimSpace(fmt.Sprintf("the server's own proxy answered %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))),
	}
	if answer.StatusCode >= 500 {
		e.Class = core.ClassNetwork // it cannot reach the host
	}
	return e
}

// retryAfter reads the header of RFC 9110, section 10.2.3: seconds or a date.
// A date is measured against the host's own clock, which is the one it means.
func retryAfter(h http.Header) time.Duration {
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

// remoteError turns what went wrong on the way into a [*hosterror.Error]. What the
// caller itself ended comes back as the error of its context.
func remoteError(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*hosterror.Error](err); ok {
		return e
	}
	if errors.Is(context.Cause(ctx), hosterror.ErrStalled) {
		return &hosterror.Error{Class: core.ClassTimeout, HostText: "the host did not answer in time", Err: hosterror.ErrStalled}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("list upstream refs: %w", context.Cause(ctx))
	}
	if errors.Is(err, errTooLarge) {
		return &hosterror.Error{Class: core.ClassTooLarge, HostText: fmt.Sprintf("the host's list of refs exceeds %d bytes", maxAdvertisement), Err: err}
	}
	e := &hosterror.Error{Class: core.ClassNetwork, HostText: "the connection to the host failed", Err: err}
	var (
		timeout net.Error
		dns     *net.DNSError
		cert    *tls.CertificateVerificationError
		record  tls.RecordHeaderError
		op      *net.OpError
		badURL  *url.Error
	)
	switch {
	case errors.As(err, &badURL):
		e.Class, e.HostText = core.ClassRefused, "the upstream's address is no URL"
	case errors.As(err, &dns):
		e.HostText = "the host's name could not be resolved"
	case errors.As(err, &op) && op.Op == "proxyconnect":
		e.HostText = "the server's own proxy cannot be reached"
	case errors.As(err, &timeout) && timeout.Timeout():
		e.Class, e.HostText = core.ClassTimeout, "the host did not answer in time"
	case errors.As(err, &cert):
		e.HostText = "the host's certificate is not trusted: " + hosterror.Text(cert.Err.Error())
	case errors.As(err, &record), errors.As(err, &op) && op.Op == "remote error": // the peer's TLS alert
		e.HostText = "the secure connection to the host could not be set up"
	case errors.Is(err, syscall.ECONNREFUSED):
		e.HostText = "the host refused the connection"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		e.HostText = "there is no route to the host"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		e.HostText = "the host ended the connection early"
	case errors.Is(err, pktline.ErrMalformed), errors.Is(err, errBadResponse):
		e.HostText = "the host's answer is not git's protocol"
	}
	return e
}
