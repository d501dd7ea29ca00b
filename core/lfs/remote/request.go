package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/netguard"
)

// maxRedirects is how many redirects of one request are followed.
const maxRedirects = 3

// request is one request and what it may do on its way.
type request struct {
	method string
	url    *url.URL
	// header goes along to every host, own to the first one alone.
	header, own http.Header
	body        body // nil: none
	remote      git.Remote
	secrets     []providers.Secret // besides those of remote, own and the address
	once        bool               // to do it twice would be another thing than to do it once
}

// body is what a request sends.
type body interface {
	// open returns the bytes, how many they are, and whether they go out in chunks.
	open() (r io.ReadCloser, size int64, chunked bool)
	// again reports whether open may be called once more: nothing was read, or it can be
	// read from the beginning.
	again() bool
	// kept reports whether all of it is in memory.
	kept() bool
}

// send sends a request, follows its redirects, and returns the answer of whatever status.
// Errors are [*hosterror.Error], what the body returned, and the cause of the end of ctx.
func (c *client) send(ctx context.Context, q request) (*http.Response, error) {
	header := q.own
	secrets := q.allSecrets()
	u := q.url
	for hop := 0; ; hop++ {
		resp, err := c.once(ctx, q, u, header)
		if err != nil {
			return nil, c.connectionError(ctx, err, secrets)
		}
		next, ok := redirect(resp)
		if !ok {
			return resp, nil
		}
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // so that the connection can be used again
		_ = resp.Body.Close()
		secrets = append(secrets, querySecrets(next)...)
		switch {
		case next == nil:
			return nil, &hosterror.Error{Class: core.ClassProtocol, Status: resp.StatusCode, HostText: "the upstream's LFS redirects to what is no address"}
		case hop == maxRedirects:
			return nil, &hosterror.Error{Class: core.ClassMoved, Status: resp.StatusCode, HostText: fmt.Sprintf("the upstream's LFS redirects more than %d times", maxRedirects)}
		case q.body != nil && (resp.StatusCode == http.StatusSeeOther || !q.body.again()):
			return nil, &hosterror.Error{
				Class: core.ClassMoved, Status: resp.StatusCode,
				HostText: "the upstream's LFS redirects a request whose bytes it has taken already to " + hosterror.Text(next.Host, secrets...),
			}
		}
		if !sameOrigin(u, next) {
			header = nil // for good: what leads back may have been elsewhere
		}
		u = next
	}
}

// allSecrets returns what must not be seen of the request.
func (q request) allSecrets() []providers.Secret {
	secrets := append(q.remote.Secrets(), q.secrets...)
	return append(secrets, link{url: q.url, header: q.own}.secrets()...)
}

// redirect returns where the answer leads; ok is false if it is no redirect, and the
// address nil if it is none.
func redirect(resp *http.Response) (next *url.URL, ok bool) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, false
	}
	next, err := resp.Location()
	if err != nil || next.Host == "" {
		return nil, true
	}
	next.Fragment, next.User = "", nil
	return next, true
}

// once sends the request to one address.
func (c *client) once(ctx context.Context, q request, u *url.URL, own http.Header) (*http.Response, error) {
	transport, err := c.admit(ctx, u, q.remote)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, q.method, u.String(), http.NoBody)
	if err != nil {
		return nil, &hosterror.Error{Class: core.ClassProtocol, HostText: "the upstream's LFS names an address that cannot be asked"}
	}
	for _, from := range []http.Header{q.header, own} {
		for name, values := range from {
			req.Header[name] = values
		}
	}
	req.Header.Set("User-Agent", c.s.userAgent)
	if u.User != nil && req.Header.Get("Authorization") == "" {
		password, _ := u.User.Password()
		req.SetBasicAuth(u.User.Username(), password)
	}
	req.URL.User = nil
	if q.body != nil {
		r, size, chunked := q.body.open()
		req.Body, req.ContentLength = r, size
		if size == 0 {
			req.Body = http.NoBody
		}
		if q.body.kept() && size > 0 {
			// A kept connection may turn out to be dead: then the transport sends the
			// request on another. The empty header is not sent, and allows it.
			req.GetBody = func() (io.ReadCloser, error) {
				q.body.again()
				r, _, _ := q.body.open()
				return r, nil
			}
			if !q.once {
				req.Header["Idempotency-Key"] = []string{}
			}
		}
		if chunked {
			req.ContentLength, req.TransferEncoding = -1, []string{"chunked"}
		}
	}
	// The transport, not a client, which would follow redirects by rules of its own.
	return transport.RoundTrip(req)
}

// admit returns the transport for an address if it may be contacted.
func (c *client) admit(ctx context.Context, u *url.URL, remote git.Remote) (*http.Transport, error) {
	host, err := hostOf(u)
	if err != nil {
		return nil, refusedAddress("the upstream's LFS leads to an address that is not contacted: %s", err)
	}
	base, err := url.Parse(remote.URL)
	if err != nil {
		return nil, err
	}
	home, err := hostOf(base)
	if err != nil {
		return nil, err
	}
	policy, err := c.s.up.HostPolicy(*c.repo.Upstream, host)
	if err != nil {
		return nil, err
	}
	upstream, err := c.s.up.HostPolicy(*c.repo.Upstream, home)
	if err != nil {
		return nil, err
	}
	switch {
	case u.Scheme == "https":
	case u.Scheme != "http":
		return nil, refusedAddress("the upstream's LFS leads to %s by something else than https", host)
	case policy.Scheme != "http" && upstream.Scheme != "http":
		return nil, refusedAddress("the upstream's LFS leads to http://%s, and only https is spoken there; if it is meant to be http, set scheme = \"http\" in its host block in providers.hcl", host)
	}
	// An upstream in the public network must not lead into the private one, even to a
	// host that is allowed to be an upstream there.
	private := policy.AllowPrivate && upstream.AllowPrivate
	transport, err := c.s.transports.get(policy, private)
	if err != nil {
		return nil, &hosterror.Error{Class: core.ClassInternal, HostText: "the file of trusted certificates cannot be used", Err: err}
	}
	if policy.Proxy != "" {
		// Where the transport dials the host itself, that checks the address.
		if _, err := netguard.Pin(ctx, c.s.transports.resolver, host, private); err != nil {
			return nil, err
		}
	}
	return transport, nil
}

func refusedAddress(format string, args ...any) error {
	return &hosterror.Error{Class: core.ClassRefused, HostText: fmt.Sprintf(format, args...)}
}

// hostOf returns the host of an address in the spelling of host blocks: without the port
// that the scheme has anyway.
func hostOf(u *url.URL) (string, error) {
	host := u.Host
	if port := u.Port(); port != "" && port == defaultPort(u.Scheme) {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return netguard.ParseHost(host)
}

func defaultPort(scheme string) string {
	if scheme == "http" {
		return "80"
	}
	return "443"
}

// sameOrigin reports whether both addresses are of one server.
func sameOrigin(a, b *url.URL) bool {
	one, err := hostOf(a)
	if err != nil {
		return false
	}
	other, err := hostOf(b)
	return err == nil && one == other && a.Scheme == b.Scheme
}

// connectionError gives what went wrong on the way a class.
func (c *client) connectionError(ctx context.Context, err error, secrets []providers.Secret) error {
	if local, ok := errors.AsType[*localError](err); ok {
		return local.err
	}
	if e, ok := errors.AsType[*hosterror.Error](err); ok {
		return e.Without(secrets...)
	}
	if e, ok := errors.AsType[*core.Error](err); ok {
		return e
	}
	if errors.Is(context.Cause(ctx), hosterror.ErrStalled) {
		return &hosterror.Error{Class: core.ClassTimeout, HostText: "the host did not answer in time", Err: hosterror.ErrStalled}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if refused, ok := errors.AsType[*providers.Error](err); ok {
		e := &hosterror.Error{Class: core.ClassRefused, HostText: "the upstream's LFS leads to an address that is not contacted: " + hosterror.Text(refused.Message, secrets...), Err: refused}
		if refused.Code == providers.CodeUnavailable {
			e.Class, e.HostText = core.ClassNetwork, hosterror.Text(refused.Message, secrets...)
		}
		return e
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "proxyconnect" {
		return &hosterror.Error{Class: core.ClassNetwork, HostText: "the server's own proxy cannot be reached"} // its URL is in err
	}
	return hosterror.OfConnection(err).Without(secrets...)
}
