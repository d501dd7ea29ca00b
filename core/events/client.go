package events

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/trace"
	"github.com/headwater-git/headwater/providers/netguard"
)

const (
	// userAgent is what receivers of the hosted product know.
	userAgent = "Pierre-Webhook/1.0"
	// maxResponse is what is kept of an answer's body for the log, in bytes.
	maxResponse = 4 << 10
	// maxDrain is what is read of an answer beyond that, in bytes, so that the
	// connection can be used again. A longer answer costs its connection.
	maxDrain = 60 << 10
	// maxResponseHeader bounds the head of an answer, in bytes.
	maxResponseHeader = 64 << 10
	// addressTimeout is how long one address of several may take to connect.
	addressTimeout = 3 * time.Second
	// idleTimeout is how long a connection is kept for the next delivery.
	idleTimeout = 90 * time.Second
)

// client sends deliveries.
type client struct {
	transport *http.Transport
	policy    Policy
	resolver  netguard.Resolver
	clock     core.Clock
	timeout   time.Duration // of one attempt, from resolution to the end of the answer
}

func newClient(o Options) *client {
	c := &client{policy: o.Policy, resolver: o.Resolver, clock: o.Clock, timeout: o.Timeout}
	c.transport = &http.Transport{
		// A proxy would be what is dialled, and so what is checked.
		Proxy:           nil,
		DialContext:     c.dial,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		// One connection for each request in flight, on HTTP/1.1: on a shared
		// one a receiver that stalls would hold up its other deliveries.
		MaxIdleConns:           o.Workers,
		MaxIdleConnsPerHost:    o.Slots,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxResponseHeader,
		// An answer's body is kept as it is sent; a compressed one that is
		// small and unpacks to a large one is nothing to open.
		DisableCompression: true,
	}
	return c
}

// dial connects to an address of the host that the policy allows. The name is
// resolved anew for every connection, and the address is checked once more by
// control when it is about to be connected to: a name that leads elsewhere now
// than when the webhook was made gains nothing.
func (c *client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := c.policy.resolve(ctx, c.resolver, host)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Control: c.policy.control}
	if len(addrs) > 1 {
		dialer.Timeout = addressTimeout
	}
	for _, addr := range addrs {
		var conn net.Conn
		if conn, err = dialer.DialContext(ctx, network, net.JoinHostPort(addr.String(), port)); err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// outcome is what came of one attempt.
type outcome struct {
	at       time.Time
	duration time.Duration
	status   int    // 0: no answer came
	response []byte // first bytes of the answer's body
	failure  string // "" after a 2xx: a sentence for the owner of the webhook
}

// send makes one attempt. The status alone decides: a receiver that has said
// 2xx has taken the delivery, whatever becomes of the rest of its answer.
func (c *client) send(ctx context.Context, w core.Webhook, d core.Delivery) (o outcome) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	began := c.clock.Now()
	o.at = began
	ctx, span := trace.Start(trace.Join(ctx, d.Trace), "webhook attempt", began)
	defer func() {
		span.Set("http.response.status_code", strconv.Itoa(o.status))
		var failed error
		if o.failure != "" {
			failed = core.Errorf(core.KindInternal, "the attempt failed")
		}
		span.End(c.clock.Now(), failed)
	}()
	defer func() { o.duration = max(c.clock.Now().Sub(began), 0) }()
	// The rules may have become stricter since the webhook was made.
	if _, err := c.policy.parseURL(w.URL); err != nil {
		o.failure = core.MessageOf(err)
		return o
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(d.Payload))
	if err != nil {
		o.failure = "the url of the webhook is not valid"
		return o
	}
	req.Header = http.Header{
		"Content-Type":       {"application/json"},
		"User-Agent":         {userAgent},
		"X-Pierre-Event":     {d.EventType},
		"X-Pierre-Signature": {Sign(w.Secret, began, d.Payload)},
		"X-Pierre-Delivery":  {d.ID},
	}
	if parent := trace.Parent(ctx); parent != "" {
		req.Header.Set("Traceparent", parent)
	}
	// The transport itself follows no redirect.
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		o.failure = Describe(err, ctx.Err() != nil)
		return o
	}
	defer func() { _ = resp.Body.Close() }()
	o.status = resp.StatusCode
	// A body that cannot be read is not kept; the status decides.
	o.response, _ = io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
	switch {
	case o.status/100 == 2:
	case o.status/100 == 3:
		o.failure = fmt.Sprintf("the receiver answered %d; redirects are not followed, so give its final address", o.status)
	default:
		o.failure = fmt.Sprintf("the receiver answered %d", o.status)
	}
	return o
}

// Describe puts an error of the transport into words that tell nothing but what the
// owner of the webhook may know. TimedOut: the time for the attempt was over.
func Describe(err error, timedOut bool) string {
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return refused.Error()
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return "the host " + dns.Name + " does not exist in the DNS"
		}
		return "the host " + dns.Name + " cannot be resolved at the moment"
	}
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, name := errors.AsType[x509.HostnameError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	timeout, timed := errors.AsType[net.Error](err)
	switch {
	case unknown:
		return "the receiver's certificate is signed by an authority that this server does not trust"
	case name:
		return "the receiver's certificate is for another host"
	case invalid:
		return "the receiver's certificate is not valid; it may have expired"
	case alert, record:
		return "the receiver does not speak TLS as it should"
	case timedOut, timed && timeout.Timeout():
		return "the receiver did not answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the receiver refused the connection"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "the receiver cannot be reached from this server"
	}
	return "the connection broke before the receiver answered"
}

// close ends the connections that are kept.
func (c *client) close() { c.transport.CloseIdleConnections() }
