package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/lfs"
)

const (
	// inMemory is the size below which an upload is kept in memory, so that it can be sent
	// once more where the host redirects. From there on the host is asked whether it takes
	// the upload before the bytes go out, which costs a round trip.
	inMemory = 64 << 10

	// The host has the bytes, so that a verification is worth more than one try.
	maxVerifications = 3
	verifyPause      = time.Second
	maxVerifyPause   = 10 * time.Second
)

// Put implements [lfs.Upstream].
func (c *client) Put(ctx context.Context, t lfs.Transfer, from io.Reader) error {
	if t.Err != nil {
		return t.Err
	}
	if t.Present {
		return nil
	}
	if err := c.rests(); err != nil {
		return err
	}
	// No place at the host is held for a client that has yet to send its first bytes.
	from, err := readHead(from, t.Pointer.Size)
	if err != nil {
		return err
	}
	b := &uploadBody{from: from, size: t.Pointer.Size, place: &place{take: c.slot, clock: c.s.clock}}
	if err := b.place.begin(ctx); err != nil {
		return err
	}
	defer b.end()
	// Only now: the wait may have been long, and the offer is older still.
	at, err := c.admitted(ctx)
	if err != nil {
		return err
	}
	a := at.current(t, lfs.Upload)
	if a == nil {
		if a, err = at.askUpload(ctx, t); a == nil {
			return err
		}
	}
	err = at.putAs(ctx, a, t.Pointer, b)
	if moved, refusal := at.followedFrom(ctx, a, err); moved != nil && !b.again() {
		err = elsewhere(err)
	} else if moved != nil {
		at = moved
		if a, err = at.askUpload(ctx, t); a == nil {
			return err
		}
		err = at.putAs(ctx, a, t.Pointer, b)
	} else if refusal != nil {
		err = refusal
	}
	b.stop()
	if err != nil {
		return at.expired(a, err)
	}
	if a.verify == nil {
		return nil
	}
	return at.verify(ctx, a, t.Pointer)
}

// askUpload asks how an object is uploaded; nil without an error: it is there already.
func (c *client) askUpload(ctx context.Context, t lfs.Transfer) (*actions, error) {
	anew, err := c.ask(ctx, lfs.Upload, refOfTransfer(t), t.Pointer)
	if err != nil || anew.Present {
		return nil, err
	}
	return anew.Action.(*actions), nil
}

// putAs sends the bytes as the actions say, and once more if the credential was refused
// before any was read.
func (c *client) putAs(ctx context.Context, a *actions, p lfs.Pointer, b *uploadBody) error {
	b.chunked = a.main.header.Get("Transfer-Encoding") == "chunked"
	err := c.put(ctx, a, p, b, false)
	if e, ok := errors.AsType[*hosterror.Error](err); ok && e.Status == http.StatusUnauthorized && b.again() {
		err = c.put(ctx, a, p, b, true)
	}
	c.record(a.main.url, err)
	return err
}

// followedFrom is followed where the refusal of an upload came from the upstream's LFS
// server: that of a storage service says nothing of the upstream.
func (c *client) followedFrom(ctx context.Context, a *actions, failure error) (moved *client, refusal error) {
	if base, err := server(a.remote); err != nil || !sameOrigin(base, a.main.url) {
		return nil, nil
	}
	return c.followed(ctx, failure)
}

// elsewhere says of the refusal of an upload whose bytes are gone that a new one goes to
// where the upstream is now.
func elsewhere(err error) error {
	e, ok := errors.AsType[*hosterror.Error](err)
	if !ok {
		return err
	}
	over := *e
	over.Class = core.ClassUnavailable
	over.HostText += "; the upstream has another place now, and a new upload goes there"
	over.Err = errors.Join(lfs.ErrExpired, e.Err)
	return &over
}

// expired adds to the refusal of an upload that its action is over, where that is so.
func (c *client) expired(a *actions, err error) error {
	e, ok := errors.AsType[*hosterror.Error](err)
	if !ok || !stale(err) || !a.expired(c.s.clock.Now()) && !saysExpired.MatchString(e.HostText) {
		return err
	}
	over := *e
	over.Class = core.ClassUnavailable
	over.HostText += "; the host's permission for the upload ended before the bytes were there"
	over.Err = errors.Join(lfs.ErrExpired, e.Err)
	return &over
}

// put sends the bytes.
func (c *client) put(ctx context.Context, a *actions, p lfs.Pointer, b *uploadBody, fresh bool) error {
	q, err := c.prepare(ctx, lfs.Upload, a, a.main, http.MethodPut, fresh)
	if err != nil {
		return err
	}
	q.body = b
	if q.own.Get("Content-Type") == "" {
		q.header.Set("Content-Type", "application/octet-stream")
	}
	if p.Size >= inMemory {
		q.header.Set("Expect", "100-continue")
	}
	ctx, w := watched(ctx, c.s.clock, 2*c.s.stall)
	defer w.stop()
	b.w, b.ctx = w, ctx
	resp, err := c.send(ctx, q)
	if err == nil && resp.StatusCode == http.StatusExpectationFailed && b.again() {
		_ = resp.Body.Close() // of a server or proxy that does not know the question
		q.header.Del("Expect")
		resp, err = c.send(ctx, q) //nolint:bodyclose // readAnswer closes it
	}
	if err != nil {
		if e, ok := errors.AsType[*hosterror.Error](err); ok {
			named := *e
			named.HostText = object(p) + ": " + e.HostText
			return &named
		}
		return err
	}
	resp.Body = &counted{resp.Body, w}
	said, err := readAnswer(resp)
	switch {
	case !said.ok():
		return said.refusal(object(p), q.allSecrets())
	case err != nil:
		return c.connectionError(ctx, err, q.allSecrets())
	}
	return nil
}

// verify has the host confirm an upload, as its batch asked for.
func (c *client) verify(ctx context.Context, a *actions, p lfs.Pointer) error {
	sent, err := json.Marshal(batchPointer(p))
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := c.verifyOnce(ctx, a, p, sent, try > 1)
		e, ok := errors.AsType[*hosterror.Error](err)
		if !ok || try == maxVerifications || e.RetryAfter > maxVerifyPause {
			return err
		}
		switch e.Class {
		case core.ClassUnavailable, core.ClassNetwork, core.ClassTimeout, core.ClassRateLimited:
		default:
			return err
		}
		select {
		case <-c.s.clock.After(max(verifyPause, e.RetryAfter)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *client) verifyOnce(ctx context.Context, a *actions, p lfs.Pointer, sent []byte, fresh bool) error {
	q, err := c.prepare(ctx, lfs.Upload, a, *a.verify, http.MethodPost, fresh)
	if err != nil {
		return err
	}
	q.body = plain(sent)
	q.header.Set("Accept", mediaType)
	q.header.Set("Content-Type", mediaType)
	ctx, w := watched(ctx, c.s.clock, 2*c.s.stall)
	defer w.stop()
	resp, err := c.send(ctx, q)
	if err != nil {
		return err
	}
	resp.Body = &counted{resp.Body, w}
	said, err := readAnswer(resp)
	if !said.ok() {
		return said.refusal(object(p)+" is not taken by the host after its upload", q.allSecrets())
	}
	if err != nil {
		return c.connectionError(ctx, err, q.allSecrets())
	}
	return nil
}

// localError is a failure of the bytes to upload, and so of nobody's at the host.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }

func (e *localError) Unwrap() error { return e.err }

// uploadBody is the bytes of an upload. It gives out the last of them only when the
// reader has ended with [io.EOF] behind them: a reader that fails there, because it
// verifies what it reads, ends the request while the host still waits for more.
type uploadBody struct {
	from    io.Reader
	size    int64
	chunked bool
	place   *place          // at the host
	w       *watch          // of the request that reads
	ctx     context.Context //nolint:containedctx // of the request that reads

	mu    sync.Mutex // held while from is read
	turn  int        // of the request that may read
	given int64      // bytes
	begun bool
	err   error
}

// uploadReader is the body of one request: the transport may still read it when the next
// request has begun.
type uploadReader struct {
	b    *uploadBody
	turn int
}

func (b *uploadBody) open() (r io.ReadCloser, size int64, chunked bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return io.NopCloser(&uploadReader{b, b.turn}), b.size, b.chunked
}

func (b *uploadBody) again() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn++
	if small, ok := b.from.(*bytes.Reader); ok && b.err == nil {
		_, _ = small.Seek(0, io.SeekStart)
		b.begun, b.given = false, 0
	}
	return !b.begun
}

func (b *uploadBody) kept() bool {
	_, ok := b.from.(*bytes.Reader)
	return ok
}

// stop waits for a read that is under way; there is none afterwards.
func (b *uploadBody) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn++
}

// end is stop, and gives the place at the host back.
func (b *uploadBody) end() {
	b.stop()
	b.place.end()
}

// readHead waits for the first bytes of an object, and for all of a small one. It returns
// what to read in the place of from.
func readHead(from io.Reader, size int64) (io.Reader, error) {
	if size < inMemory {
		return readSmall(from, size)
	}
	head := make([]byte, inMemory)
	n, err := io.ReadFull(from, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = tooShort(int64(n), size)
	}
	return io.MultiReader(bytes.NewReader(head), from), err
}

// readSmall reads all of an object.
func readSmall(from io.Reader, size int64) (*bytes.Reader, error) {
	content := make([]byte, size)
	n, err := io.ReadFull(from, content)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, tooShort(int64(n), size)
	}
	if err == nil {
		err = atEnd(from, size)
	}
	return bytes.NewReader(content), err
}

func tooShort(n, size int64) error {
	return core.Errorf(core.KindInvalid, "the object ended after %d of its %d bytes", n, size)
}

// atEnd reads behind the last byte.
func atEnd(from io.Reader, size int64) error {
	for range 100 {
		n, err := from.Read(make([]byte, 1))
		switch {
		case n > 0:
			return core.Errorf(core.KindInvalid, "more than the %d bytes of the object were sent", size)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// Read reads what to send.
func (r *uploadReader) Read(p []byte) (int, error) {
	b := r.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.turn != b.turn {
		return 0, io.ErrClosedPipe
	}
	b.w.alive() // the host took the last
	b.w.local.Add(1)
	defer func() { b.w.local.Add(-1); b.w.alive() }()
	b.begun = true
	switch {
	case b.err != nil:
		return 0, b.err
	case b.given == b.size:
		return 0, io.EOF
	}
	if left := b.size - b.given; int64(len(p)) > left {
		p = p[:left]
	}
	n, err := b.place.read(b.ctx, b.from, p)
	b.given += int64(n)
	switch {
	case b.given == b.size:
		if err == nil {
			err = atEnd(b.from, b.size)
		} else if errors.Is(err, io.EOF) {
			err = nil
		}
	case errors.Is(err, io.EOF):
		err = tooShort(b.given, b.size)
	}
	if err != nil {
		b.err = &localError{err}
		return 0, b.err
	}
	return n, nil
}
