package remote

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/providers"
)

// Get implements [lfs.Upstream].
func (c *client) Get(ctx context.Context, t lfs.Transfer, offset int64) (io.ReadCloser, error) {
	switch p := t.Pointer; {
	case offset < 0 || offset > p.Size:
		return nil, core.Errorf(core.KindInvalid, "%s has %d bytes, and those from %d on are wanted", object(p), p.Size, offset)
	case t.Err != nil:
		return nil, t.Err
	case offset == p.Size && p.Size > 0:
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	if err := c.rests(); err != nil {
		return nil, err
	}
	release, err := c.slot(ctx)
	if err != nil {
		return nil, err
	}
	body, err := c.get(ctx, t, offset)
	if err != nil {
		release()
		return nil, err
	}
	body.release = release
	return body, nil
}

// get opens an object with the action that there is, and once more with a new one if the
// host may have refused it for its age.
func (c *client) get(ctx context.Context, t lfs.Transfer, offset int64) (*objectBody, error) {
	a := c.current(t, lfs.Download)
	if a != nil {
		body, err := c.open(ctx, a, t.Pointer, offset, false)
		c.record(a.main.url, err)
		if err == nil || !stale(err) {
			return body, err
		}
	}
	anew, err := c.ask(ctx, lfs.Download, refOfTransfer(t), t.Pointer)
	if err != nil {
		return nil, err
	}
	// Not asked again if it has expired already: then the host's clock or ours is wrong,
	// and the host decides.
	fresh := a != nil
	a = anew.Action.(*actions)
	body, err := c.open(ctx, a, t.Pointer, offset, fresh)
	c.record(a.main.url, err)
	return body, err
}

// open sends the request of a download.
func (c *client) open(ctx context.Context, a *actions, p lfs.Pointer, offset int64, fresh bool) (*objectBody, error) {
	q, err := c.prepare(ctx, lfs.Download, a, a.main, http.MethodGet, fresh)
	if err != nil {
		return nil, err
	}
	if offset > 0 {
		q.header.Set("Range", "bytes="+strconv.FormatInt(offset, 10)+"-")
	}
	ctx, w := watched(ctx, c.s.clock, c.s.stall)
	resp, err := c.send(ctx, q)
	if err == nil && offset > 0 && resp.StatusCode == http.StatusRequestedRangeNotSatisfiable {
		// It refuses ranges; the whole of it may still come.
		_ = resp.Body.Close()
		q.header.Del("Range")
		resp, err = c.send(ctx, q)
	}
	if err != nil {
		w.stop()
		return nil, err
	}
	body, err := c.objectBody(ctx, w, resp, p, offset, q.allSecrets())
	if err != nil {
		_ = resp.Body.Close()
		w.stop()
		return nil, err
	}
	return body, nil
}

// objectBody checks an answer and returns its bytes from offset on.
func (c *client) objectBody(ctx context.Context, w *watch, resp *http.Response, p lfs.Pointer, offset int64, secrets []providers.Secret) (*objectBody, error) {
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		resp.Body = &counted{resp.Body, w}
		a, _ := readAnswer(resp)
		if a.ok() {
			return nil, &hosterror.Error{Class: core.ClassProtocol, Status: a.status, HostText: fmt.Sprintf("%s: the host answered with status %d, which is no answer to a download", object(p), a.status)}
		}
		return nil, a.refusal(object(p), secrets)
	}
	b := &objectBody{c: c, ctx: ctx, w: w, body: &counted{resp.Body, w}, pointer: p, at: offset, secrets: secrets, release: func() {}}
	b.in = b.body
	announced := p.Size
	if resp.StatusCode == http.StatusPartialContent {
		first, whole, ok := contentRange(resp.Header.Get("Content-Range"))
		if !ok || first != offset || whole >= 0 && whole != p.Size {
			return nil, b.wrong("the host answered with other bytes than those from %d on", offset)
		}
		announced = p.Size - offset
	} else {
		b.skip = offset // it does not do ranges
	}
	switch coding := strings.ToLower(resp.Header.Get("Content-Encoding")); coding {
	case "", "identity":
		if resp.ContentLength >= 0 && resp.ContentLength != announced {
			return nil, b.wrong("the host sends %d bytes, and %d were to come", resp.ContentLength, announced)
		}
	case "gzip":
		if resp.StatusCode == http.StatusPartialContent {
			return nil, b.wrong("the host answered with a part of something compressed")
		}
		b.compressed = true
	default:
		return nil, b.wrong("the host sends it in the coding %.40q, which was not asked for", coding)
	}
	return b, nil
}

// contentRange reads the header of a partial answer; whole is -1 if it does not say.
func contentRange(v string) (first, whole int64, ok bool) {
	v, ok = strings.CutPrefix(v, "bytes ")
	if !ok {
		return 0, 0, false
	}
	span, of, ok := strings.Cut(v, "/")
	from, _, found := strings.Cut(span, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	if !ok || !found || err != nil {
		return 0, 0, false
	}
	whole = -1
	if of != "*" {
		if whole, err = strconv.ParseInt(of, 10, 64); err != nil {
			return 0, 0, false
		}
	}
	return first, whole, true
}

// objectBody is the bytes of an object, exactly those that are left from its offset on. It
// is read by one goroutine; Close may come from another.
type objectBody struct {
	c          *client
	ctx        context.Context
	w          *watch
	body       io.ReadCloser // as it comes in
	in         io.Reader     // the object's own bytes
	compressed bool
	pointer    lfs.Pointer
	skip       int64 // bytes that come in before those that are wanted
	at         int64 // offset of the next byte
	secrets    []providers.Secret
	release    func()
	err        error
	once       sync.Once
}

// wrong is the error of bytes that cannot be the object's.
func (b *objectBody) wrong(format string, args ...any) error {
	return (&hosterror.Error{Class: core.ClassCorrupt, HostText: object(b.pointer) + ": " + fmt.Sprintf(format, args...)}).Without(b.secrets...)
}

// Read reads the object. Its last byte is followed by [io.EOF] only if none is left.
func (b *objectBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.compressed {
		in, err := gzip.NewReader(b.body)
		if err != nil {
			return 0, b.fail(err)
		}
		b.in, b.compressed = in, false
	}
	if b.skip > 0 {
		skipped, err := io.CopyN(io.Discard, b.in, b.skip)
		if b.skip -= skipped; err != nil {
			return 0, b.fail(err)
		}
	}
	left := b.pointer.Size - b.at
	if left == 0 {
		// What comes behind the last byte, if anything does.
		if n, err := io.ReadFull(b.in, make([]byte, 1)); n > 0 {
			b.err = b.wrong("the host sends more than its %d bytes", b.pointer.Size)
		} else if errors.Is(err, io.EOF) {
			b.err = io.EOF
		} else {
			return 0, b.fail(err)
		}
		return 0, b.err
	}
	if int64(len(p)) > left {
		p = p[:left]
	}
	n, err := b.in.Read(p)
	if b.at += int64(n); err != nil && (b.at < b.pointer.Size || !errors.Is(err, io.EOF)) {
		return n, b.fail(err)
	}
	return n, nil
}

// fail keeps the error that ended the body early.
func (b *objectBody) fail(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	b.err = b.c.connectionError(b.ctx, err, b.secrets)
	if e, ok := errors.AsType[*hosterror.Error](b.err); ok && b.ctx.Err() == nil {
		cut := *e
		cut.HostText = fmt.Sprintf("%s: %s, after %d of %d bytes", object(b.pointer), e.HostText, b.at, b.pointer.Size)
		cut.Err = errors.Join(lfs.ErrCut, e.Err)
		b.err = &cut
	}
	return b.err
}

// Close ends the transfer.
func (b *objectBody) Close() error {
	b.once.Do(func() {
		b.w.stop() // first: it ends a read that waits
		_ = b.body.Close()
		b.release()
	})
	return nil
}
