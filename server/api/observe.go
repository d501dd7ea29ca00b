package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/trace"
	"github.com/headwater-git/headwater/server/middleware"
)

// statusClientGone is what the log shows for a request that its client gave
// up; nobody reads the answer. It is nginx's number.
const statusClientGone = 499

// answerError is the [middleware.Errors] of this package.
func answerError(x *middleware.Exchange, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		writeStatusError(x, statusClientGone, core.KindInternal, "the client closed the request")
		return
	}
	WriteError(x, r, err)
}

// logLine is the [middleware.AccessLog] of this package. An answer that was cut
// off has no line of its own: cutOff has logged why.
func (s *server) logLine(x *middleware.Exchange, r *http.Request, took time.Duration) {
	if x.Aborted {
		return
	}
	level := hclog.Info
	fields := []any{
		"request_id", x.ID, "method", r.Method, "route", x.Route, "status", x.Status(),
		"duration", took, "org", x.Identity.Org, "subject", x.Identity.Subject,
	}
	if id := trace.ID(r.Context()); id != "" {
		fields = append(fields, "trace_id", id)
	}
	if x.Err != nil {
		fields = append(fields, "error", x.Err)
	}
	if x.Status() >= http.StatusInternalServerError {
		level = hclog.Error
	}
	s.Logger.Log(level, "request served", fields...)
}
