package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/trace"
)

// This file holds what smart HTTP and LFS, which the clients of git use, have in common.

// ErrNoToken is the answer to whoever has no token and needs one.
var ErrNoToken = core.Errorf(core.KindUnauthenticated, "authentication required: give a token as password, with any user name")

// GitToken takes the token from HTTP Basic's password, with any user name, or from
// Bearer. KindUnauthenticated: there is none.
func GitToken(r *http.Request) (string, error) {
	_, token, ok := r.BasicAuth()
	if !ok {
		token = BearerToken(r)
	}
	if token == "" {
		return "", ErrNoToken
	}
	return token, nil
}

// LogFields returns what a log line begins with, so that it is found by the ids of a
// request.
func (x *Exchange) LogFields(r *http.Request) []any {
	fields := []any{"request_id", x.ID}
	if id := trace.ID(r.Context()); id != "" {
		fields = append(fields, "trace_id", id)
	}
	return fields
}

// writeStall is how long one write to a client may take. It replaces a time-out of the
// whole exchange, which may rightly last for hours.
const writeStall = 5 * time.Minute

// StallingWriter bounds each write to a client.
type StallingWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

// NewStallingWriter returns a writer of the answer w.
func NewStallingWriter(w http.ResponseWriter) *StallingWriter {
	return &StallingWriter{w, http.NewResponseController(w)}
}

// Write writes within five minutes.
func (s *StallingWriter) Write(p []byte) (int, error) {
	if err := s.control.SetWriteDeadline(SocketTime().Add(writeStall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, fmt.Errorf("set write deadline: %w", err)
	}
	return s.ResponseWriter.Write(p)
}

// Flush sends what was written.
func (s *StallingWriter) Flush() error { return s.control.Flush() }
