package middleware

import (
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
)

// Exchange is one request and its answer, with what the log tells of them. It is
// the [http.ResponseWriter] of its handler, and belongs to the goroutine of the
// request.
type Exchange struct {
	http.ResponseWriter

	ID       string          // of the request; "" on a surface that gives none
	Route    string          // template of the path, for the log; never the path, because names may be many
	Identity access.Identity // of the token; zero before it is verified
	Err      error           // that the request was answered with
	Aborted  bool            // the handler cut the connection off with [http.ErrAbortHandler]

	status int
	bytes  int64
}

// Status returns the first final status, 0 while there is none.
func (x *Exchange) Status() int { return x.status }

// Bytes returns the length of the body so far.
func (x *Exchange) Bytes() int64 { return x.bytes }

// Began reports whether the answer has begun: its status cannot change any more.
func (x *Exchange) Began() bool { return x.status != 0 }

// Actor returns who sends the request and from where, for the audit.
func (x *Exchange) Actor(r *http.Request) core.Actor {
	return x.Identity.Actor().From(r.RemoteAddr, r.UserAgent())
}

// Unwrap lets [http.ResponseController] reach the connection.
func (x *Exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader notes the first final status.
func (x *Exchange) WriteHeader(status int) {
	if x.status == 0 && status >= http.StatusOK {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write notes the length. It is a WriteHeader(200) if there was none, as in net/http.
func (x *Exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(p)
	x.bytes += int64(n)
	return n, err
}
