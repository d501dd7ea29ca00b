package githttp

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server/middleware"
)

// How slowly a request body may come in. What is cut is a client that sends
// less than bodyRate for longer than the grace, which it has again when it has
// caught up. A fetch is asked for in what git has ready; a push may pause while
// git reads the next objects of its pack.
const (
	bodyRate   = 1 << 10 // bytes a second
	fetchGrace = 10 * time.Second
	pushGrace  = time.Minute
)

// errSlowBody is the error of a body that was cut.
var errSlowBody = errors.New("the request body came in too slowly; send it again over a better connection")

// paced is a request body that is cut when it comes in too slowly. Only the
// time counts in which somebody waits for it.
type paced struct {
	body  io.Reader
	c     *http.ResponseController
	grace time.Duration
	left  time.Duration // until the body is cut, if nothing more comes
	cut   bool
}

// Read reads within the time that is left. At the end of the body the limit is
// lifted: the connection lives on while the answer is made.
func (b *paced) Read(p []byte) (int, error) {
	if b.cut {
		return 0, errSlowBody
	}
	start := middleware.SocketTime()
	if err := b.c.SetReadDeadline(start.Add(b.left)); err != nil {
		return 0, err
	}
	n, err := b.body.Read(p)
	b.left = min(b.grace, b.left-middleware.SocketTime().Sub(start)+time.Duration(n)*time.Second/bodyRate)
	switch {
	case err == nil && b.left > 0:
		return n, nil
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
		// The deadline stays: net/http shall not wait for the rest either.
		b.cut = true
		return n, errSlowBody
	}
	if cerr := b.c.SetReadDeadline(time.Time{}); cerr != nil && err == io.EOF { //nolint:errorlint // readers return io.EOF itself
		return n, cerr
	}
	return n, err
}

// requestBody returns the body, decompressed if the client compressed it. It is
// cut when it comes in too slowly.
func (h *Handler) requestBody(w http.ResponseWriter, r *http.Request, grace time.Duration) (io.Reader, error) {
	body := &paced{body: r.Body, c: http.NewResponseController(w), grace: grace, left: grace}
	switch enc := r.Header.Get("Content-Encoding"); enc {
	case "":
		return body, nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(body)
		if errors.Is(err, errSlowBody) {
			return nil, err
		}
		if err != nil {
			return nil, errGzip(err)
		}
		return unzipped{z}, nil
	default:
		return nil, core.Errorf(core.KindInvalid, "content encoding %q is not supported", enc)
	}
}

func errGzip(err error) error {
	return &core.Error{Kind: core.KindInvalid, Message: "the request body is not gzip as its header says", Err: err}
}

// unzipped says of a broken stream that it is the client's fault.
type unzipped struct{ *gzip.Reader }

// Read reads what was compressed.
func (u unzipped) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, new(flate.CorruptInputError)) {
		err = errGzip(err)
	}
	return n, err
}
