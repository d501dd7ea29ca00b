package lfs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/headwater-git/headwater/core"
)

// heldBack is how many of the last bytes of an object readers get only when all of it
// is proven. Whoever reads along with bytes that turn out to be wrong never gets the
// whole of them, and of a small object nothing.
const heldBack = 256 << 10

// draft is an object that is coming in: a file that grows, whose bytes are hashed as
// they are written, and that many can read meanwhile. One goroutine writes.
type draft struct {
	want Pointer
	hash hash.Hash
	file *os.File

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever something below changes
	written int64
	proven  bool
	failed  error
	readers int
	closed  bool // for writing: the last reader closes the file
}

// newDraft makes a draft in a folder.
func newDraft(dir string, want Pointer) (*draft, error) {
	file, err := os.CreateTemp(dir, "draft-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("begin to store an LFS object: %w", err)
	}
	return &draft{want: want, hash: sha256.New(), file: file, changed: make(chan struct{})}, nil
}

// update changes the state and wakes up who waits for it.
func (d *draft) update(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
	close(d.changed)
	d.changed = make(chan struct{})
}

// Write adds bytes. KindInvalid: there are more of them than the object has.
func (d *draft) Write(p []byte) (int, error) {
	if int64(len(p)) > d.want.Size-d.written {
		return 0, core.Errorf(core.KindInvalid, "the bytes that came for the LFS object %s are more than its %d", d.want.OID, d.want.Size)
	}
	n, err := d.file.Write(p)
	_, _ = d.hash.Write(p[:n]) // never fails
	d.update(func() { d.written += int64(n) })
	if err != nil {
		err = fmt.Errorf("store an LFS object: %w", err)
	}
	return n, err
}

// check says whether the draft is the object, and flushes it. KindInvalid: it is not.
func (d *draft) check() error {
	if d.written != d.want.Size {
		return core.Errorf(core.KindInvalid, "of the LFS object %s %d bytes came, and it has %d", d.want.OID, d.written, d.want.Size)
	}
	if got := OIDOf([32]byte(d.hash.Sum(nil))); got != d.want.OID {
		return core.Errorf(core.KindInvalid, "the bytes that came for the LFS object %s are those of %s", d.want.OID, got)
	}
	if err := d.file.Sync(); err != nil {
		return fmt.Errorf("flush an LFS object: %w", err)
	}
	return nil
}

// release lets readers have all of a draft that was checked.
func (d *draft) release() { d.update(func() { d.proven = true }) }

// fail ends the draft for who reads along, unless it is proven.
func (d *draft) fail(err error) {
	d.update(func() {
		if !d.proven && d.failed == nil {
			d.failed = err
		}
	})
}

// close ends the writing and removes the file, unless somebody has adopted it. Who reads
// along reads on.
func (d *draft) close() {
	d.fail(errors.New("the LFS object was given up"))
	if err := os.Remove(d.file.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return // the next start removes it
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	d.closeIdle()
}

// closeIdle closes the file if nobody needs it; d.mu is held.
func (d *draft) closeIdle() {
	if d.closed && d.readers == 0 {
		_ = d.file.Close() // all that was written was flushed, or is given up
	}
}

// open returns the bytes from offset on, as they come; nil if the file is closed. Reads
// end with ctx. It is for one goroutine.
func (d *draft) open(ctx context.Context, offset int64) io.ReadCloser {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed && d.readers == 0 {
		return nil
	}
	d.readers++
	return &draftReader{d: d, ctx: ctx, at: offset} //nolint:containedctx // a reader of one request
}

// draftReader reads a draft while it grows.
type draftReader struct {
	d      *draft
	ctx    context.Context
	at     int64
	closed bool
}

// Read waits for bytes. Errors: what the draft failed with, [io.ErrUnexpectedEOF] if the
// file is shorter than what was written to it, and the end of the context.
func (r *draftReader) Read(p []byte) (int, error) {
	for {
		r.d.mu.Lock()
		end, proven, failed, changed := r.d.written, r.d.proven, r.d.failed, r.d.changed
		r.d.mu.Unlock()
		if !proven {
			end = min(end, max(r.d.want.Size-heldBack, 0))
		}
		switch {
		case r.at < end:
			n, err := r.d.file.ReadAt(p[:min(int64(len(p)), end-r.at)], r.at)
			r.at += int64(n)
			switch {
			case !errors.Is(err, io.EOF):
			case n > 0:
				err = nil
			default: // the disk has lost what was written; a reader of nothing would read for ever
				err = fmt.Errorf("read an LFS object: %w", io.ErrUnexpectedEOF)
			}
			return n, err
		case proven:
			return 0, io.EOF
		case failed != nil:
			return 0, failed
		}
		select {
		case <-changed:
		case <-r.ctx.Done():
			return 0, context.Cause(r.ctx)
		}
	}
}

// Close lets the file go. It may be called twice.
func (r *draftReader) Close() error {
	r.d.mu.Lock()
	defer r.d.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.d.readers--
		r.d.closeIdle()
	}
	return nil
}
