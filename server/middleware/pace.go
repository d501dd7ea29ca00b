package middleware

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/headwater-git/headwater/core"
)

// How slowly a request body may come in. What is cut is a client that sends
// less than bodyRate for longer than the grace, which it has again when it has
// caught up.
const (
	bodyRate = 1 << 10 // bytes a second
	// BodyGrace is the grace of a body that its sender has ready.
	BodyGrace = 10 * time.Second
	// StreamGrace is the grace of a body that is made while it is sent: git
	// reads the next objects of a pack, a program writes the next file.
	StreamGrace = time.Minute
)

// ErrSlowBody is the error of a body that was cut. Its answer is 408 (RFC 9110,
// section 15.5.9), and the connection is closed.
var ErrSlowBody = errors.New("the request body came in too slowly; send it again over a better connection")

// Paced is a request body that is cut when it comes in too slowly. Only the
// time counts in which somebody waits for it.
type Paced struct {
	body     io.ReadCloser
	control  *http.ResponseController
	grace    time.Duration
	left     time.Duration // until the body is cut, if nothing more comes
	end      time.Time     // when it is cut however fast it comes; zero: never
	cut      bool
	separate bool // the deadline is of the body's stream alone, which is HTTP/2
}

// NewPaced returns the body of a request, which is to be read instead of r.Body.
func NewPaced(w http.ResponseWriter, r *http.Request, grace time.Duration) *Paced {
	return &Paced{body: r.Body, control: http.NewResponseController(w), grace: grace, left: grace, separate: r.ProtoMajor > 1}
}

// Read reads within the time that is left; errors: [ErrSlowBody] and those of
// the body. At the end of the body the limit is lifted: the connection lives on
// while the answer is made.
func (b *Paced) Read(p []byte) (int, error) {
	if b.cut {
		return 0, ErrSlowBody
	}
	start := SocketTime()
	deadline := start.Add(b.left)
	if !b.end.IsZero() && b.end.Before(deadline) {
		deadline = b.end
	}
	if err := b.control.SetReadDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := b.body.Read(p)
	b.left = min(b.grace, b.left-SocketTime().Sub(start)+time.Duration(n)*time.Second/bodyRate)
	switch {
	case err == nil && b.left > 0:
		// HTTP/2 ends a stream whose deadline passes while nobody reads. On a
		// connection of HTTP/1 the deadline stays, and bounds how long net/http
		// waits for a rest that is not read.
		if b.separate {
			b.lift()
		}
		return n, nil
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
		// The deadline stays: net/http must not wait for the rest either.
		b.cut = true
		return n, ErrSlowBody
	}
	b.lift()
	return n, err
}

// Close closes the body.
func (b *Paced) Close() error { return b.body.Close() }

// Discard takes what a refused client still sends off the wire, at most the bytes
// and for at most the time: it would else see a broken connection instead of the
// answer.
func (b *Paced) Discard(bytes int64, within time.Duration) {
	b.end = SocketTime().Add(within)
	_, _ = io.CopyN(io.Discard, b, bytes)
}

func (b *Paced) lift() { _ = b.control.SetReadDeadline(time.Time{}) }

// Pace returns a handler that waits for no body longer than the grace in which
// nobody reads it, as that of a request that is refused by its header. What
// reads a body sets its own pace, by [Paced].
//
// Before net/http writes an answer over HTTP/1, it reads what is left of the
// body, so half a request would hold a connection and its goroutine for ever,
// without any token.
func Pace(next http.Handler, grace time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor > 1 || r.ContentLength == 0 || r.Body == nil {
			next.ServeHTTP(w, r)
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(SocketTime().Add(grace))
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		// Such a body means nothing (RFC 9110, 9.3.1), so nobody reads it, and the
		// connection ends with it. The deadline bounds how long net/http waits for
		// the rest once the answer is out; nothing else reads there until then.
		w.Header().Set("Connection", "close")
		r = r.WithContext(r.Context())
		r.Body, r.ContentLength = http.NoBody, 0
		next.ServeHTTP(w, r)
	})
}

// BodyError says of the error of a read of a body what the sender has to know.
// Errors: KindTimeout if it came in too slowly, else KindInvalid.
func BodyError(err error) error {
	if errors.Is(err, ErrSlowBody) {
		return &core.Error{Kind: core.KindTimeout, Message: ErrSlowBody.Error(), Err: err}
	}
	return &core.Error{Kind: core.KindInvalid, Message: "the request body was cut off", Err: err}
}
