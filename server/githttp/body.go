package githttp

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server/middleware"
)

// requestBody returns the body, decompressed if the client compressed it. It is
// cut when it comes in too slowly.
func (h *Handler) requestBody(w http.ResponseWriter, r *http.Request, grace time.Duration) (io.Reader, error) {
	body := middleware.NewPaced(w, r, grace)
	// Codings are named in any case (RFC 9110, section 8.4.1).
	switch enc := strings.ToLower(r.Header.Get("Content-Encoding")); enc {
	case "", "identity":
		return body, nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(body)
		if errors.Is(err, middleware.ErrSlowBody) {
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
