package discovery

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/git/pktline"
)

// The services of smart HTTP.
const (
	uploadPack  = "git-upload-pack"
	receivePack = "git-receive-pack"
)

const (
	// The bounds of a list of refs, in bytes of both answers together, and the part of the
	// machine's memory that it may have in between. What is kept of a list takes twice
	// that; 64 MiB are 700,000 refs.
	leastListing, mostListing, listingShare = 64 << 20, 512 << 20, 16
	// largeListing is how long a list is that no other may be read beside: what upstreams
	// send is not bounded by what a client of this server may do.
	largeListing = 8 << 20

	// The slowest host we wait for: the same as the limit of curl that package git sets.
	stallTime  = 60 * time.Second
	stallBytes = 60 * 1000

	maxPools = 256 // kept pools of connections, one for each address of a host
)

// Discoverer asks upstreams for their refs over git's smart HTTP protocol, see
// gitprotocol-http(5) and gitprotocol-v2(5), within this process: a poll costs
// two requests on a kept connection, not a process and a TLS handshake. It is
// safe for concurrent use.
type Discoverer struct {
	userAgent string        // header
	agent     string        // protocol capability: no spaces
	stall     time.Duration // stallTime but in tests
	pushStall time.Duration // git.DefaultStall but in tests

	limit int64         // bytes of a list of refs
	large chan struct{} // has a token while a large list is read

	pools *pools
}

// New returns a Discoverer that calls itself agent, such as
// "headwater/1.2". Hosts tell git from browsers by a User-Agent that begins
// with "git/"; one is put in front.
func New(agent string) *Discoverer {
	return &Discoverer{
		userAgent: "git/2.43.0 (" + agent + ")",
		agent:     strings.Join(strings.Fields(agent), "."),
		stall:     stallTime,
		pushStall: git.DefaultStall,
		limit:     listingLimit(git.MachineMemory()),
		large:     make(chan struct{}, 1),
		pools:     newPools(maxPools),
	}
}

// listingLimit is how many bytes a list of refs may have on a machine of that memory; 0 is
// one that does not say.
func listingLimit(memory int64) int64 {
	return min(max(memory/listingShare, leastListing), mostListing)
}

// answers returns a reader of the bodies of answers; it must be closed. A host that sends
// fewer than stallBytes within the time ends the operation.
func (d *Discoverer) answers(ctx context.Context, stall time.Duration, end func()) *answerReader {
	return &answerReader{limit: d.limit, stall: newStallTimer(stall, stallBytes, end), ctx: ctx, large: d.large}
}

// CloseIdle closes the connections that serve no request now. Later requests
// open new ones.
func (d *Discoverer) CloseIdle() {
	d.pools.closeIdle()
}

// Refs lists the refs of the remote that the prefixes select. A prefix that ends
// in "/" stands for everything below it, another is an exact name ("HEAD",
// "refs/heads/main"); none selects nothing. Hosts that speak version 2 send only
// those; from others the rest is dropped here.
//
// Redirects are not followed, no proxy is used, and with r.Addrs no other
// address is dialled. The host must send 60 kB every 60 seconds or finish, and in all at
// most a 16th of the machine's memory, which is taken as 1 GiB at least and 8 GiB at most.
// Every failure is a [*hosterror.Error], except that the end of ctx gives its error.
func (d *Discoverer) Refs(ctx context.Context, r git.Remote, prefixes []string) (Advertisement, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := d.answers(ctx, d.stall, func() { cancel(hosterror.ErrStalled) })
	defer w.close()

	p := newAdvertParser(uploadPack, prefixes)
	err := d.refs(ctx, r, prefixes, p, w)
	if err != nil {
		return Advertisement{}, remoteError(ctx, err, r)
	}
	p.BytesRead = w.read
	return p.Advertisement, nil
}

func (d *Discoverer) refs(ctx context.Context, r git.Remote, prefixes []string, p *advertParser, w *answerReader) error {
	u, err := address(r)
	if err != nil {
		return err
	}
	transport, err := d.list(ctx, r, u, p, w)
	if err != nil || p.Protocol != 2 || len(prefixes) == 0 {
		return err
	}
	if !p.hasLsRef {
		return malformed("no ls-refs command")
	}

	body := p.lsRefsRequest(d.agent, prefixes)
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, u.JoinPath(uploadPack).String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	post.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	post.Header.Set("Accept", "application/x-git-upload-pack-result")
	post.Header.Set("Git-Protocol", "version=2")
	// An empty list is not sent, but tells the transport that it may repeat
	// the request when a kept connection turns out to be dead.
	post.Header["Idempotency-Key"] = []string{}
	return d.exchange(transport, post, r, "application/x-git-upload-pack-result", w, packets(p.parseLsRefs))
}

// address returns the remote's URL, fit to be asked.
func address(r git.Remote) (*url.URL, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, &hosterror.Error{Class: core.ClassRefused, HostText: "the upstream's address is not an http or https URL"}
	}
	// The credential travels in git.Remote; one in the URL is a mistake, and it
	// would end up in logs.
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u, nil
}

// list asks for the advertisement of the parser's service, at one of the remote's
// addresses after the other, and returns the transport that answered.
func (d *Discoverer) list(ctx context.Context, r git.Remote, u *url.URL, p *advertParser, w *answerReader) (*http.Transport, error) {
	keys, err := d.pools.order(u.Host, r)
	if err != nil {
		return nil, badRoots(err)
	}
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("info/refs").String()+"?service="+p.service, nil)
	if err != nil {
		return nil, err
	}
	// A cache on the way must not hide a push.
	get.Header.Set("Pragma", "no-cache")
	if p.service == uploadPack {
		get.Header.Set("Git-Protocol", "version=2") // git-receive-pack has no version 2
	}
	var (
		transport *http.Transport
		unreached []error
	)
	for _, key := range keys {
		if transport, err = d.pools.get(key); err != nil {
			return nil, badRoots(err)
		}
		err = d.exchange(transport, get, r, "application/x-"+p.service+"-advertisement", w, packets(p.parseAnswer))
		if err == nil {
			d.pools.answered(key)
		}
		if !isDial(err) || ctx.Err() != nil {
			break
		}
		unreached = append(unreached, err)
		err = errors.Join(unreached...)
	}
	return transport, err
}

// badRoots is the error of a file of certificates that cannot be used.
func badRoots(err error) error {
	return &hosterror.Error{Class: core.ClassInternal, HostText: "the file of trusted certificates cannot be used", Err: err}
}

// isDial reports whether no connection came about, so that nothing was sent.
func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// packets returns a parser of bytes that reads them as packets.
func packets(parse func(*pktline.Reader) error) func(*bufio.Reader) error {
	return func(in *bufio.Reader) error { return parse(pktline.NewReader(in)) }
}

// exchange sends one request and gives the answer to parse.
func (d *Discoverer) exchange(t *http.Transport, req *http.Request, r git.Remote, contentType string, w *answerReader, parse func(*bufio.Reader) error) error {
	req.Header.Set("User-Agent", d.userAgent)
	if name, value := r.Authorization(); name != "" {
		req.Header.Set(name, value.Reveal())
	}
	w.stall.restart()
	// The transport, not a client: a client follows redirects, which could carry
	// the credential elsewhere or lead past the address check.
	resp, err := t.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", req.URL.Host, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return statusError(resp, r)
	}
	if resp.Header.Get("Content-Type") == "" {
		// What answers says at least what it is: this one was cut off.
		return &hosterror.Error{
			Class:    core.ClassNetwork,
			HostText: "the upstream's answer was cut off",
			Err:      fmt.Errorf("%w: no content type", errNotSmart),
		}
	}
	switch media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media {
	case contentType:
	case "text/html":
		return &hosterror.Error{
			Class:    core.ClassProtocol,
			HostText: "a page of HTML answers at the upstream's address, not git",
			Err:      fmt.Errorf("%w: content type %.80q", errNotSmart, resp.Header.Get("Content-Type")),
		}
	default:
		return &hosterror.Error{
			Class:    core.ClassNotFound,
			HostText: "there is no git repository at the upstream's address, or its server has only the old \"dumb\" HTTP protocol",
			Err:      fmt.Errorf("%w: content type %.80q", errNotSmart, resp.Header.Get("Content-Type")),
		}
	}
	w.body = resp.Body
	if err := parse(bufio.NewReaderSize(w, 64<<10)); err != nil {
		return err
	}
	// A connection is kept only if its answer was read to the end; a few bytes
	// at most are left (the end of the chunked coding).
	_, _ = io.CopyN(io.Discard, w, 1<<10)
	return nil
}

// answerReader reads the bodies of answers, counts them, and tells the timer.
type answerReader struct {
	body  io.Reader
	stall *stallTimer
	limit int64 // bytes of all bodies
	read  int64 // of all bodies

	ctx   context.Context //nolint:containedctx // of the one operation that reads
	large chan struct{}   // has a token while a large list is read; nil: any number is
	holds bool            // that token
}

// close gives back what the reader holds.
func (w *answerReader) close() {
	w.stall.stop()
	if w.holds {
		<-w.large
		w.holds = false
	}
}

// Read reads from the body.
func (w *answerReader) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	w.read += int64(n)
	if n > 0 {
		w.stall.moved(int64(n))
	}
	if w.read > w.limit {
		return n, &tooLargeError{w.limit}
	}
	if w.read > largeListing && w.large != nil && !w.holds {
		w.stall.waiting.Store(true) // for another list, not for the host
		defer w.stall.waiting.Store(false)
		select {
		case w.large <- struct{}{}:
			w.holds = true
		case <-w.ctx.Done():
			return n, context.Cause(w.ctx)
		}
		w.stall.restart()
	}
	return n, err
}
