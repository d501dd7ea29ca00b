package api

import (
	"context"
	"errors"
	"net/http"
	"runtime/debug"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
)

// statusClientGone is what the log shows for a request that its client gave
// up; nobody reads the answer. It is nginx's number.
const statusClientGone = 499

// record collects what the one log line of a request tells. It belongs to the
// goroutine of the request.
type record struct {
	http.ResponseWriter
	status  int
	route   string // template of the path, never the path: names may be many
	org     string
	subject string
	err     error
}

// Unwrap is for [http.ResponseController].
func (rec *record) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// WriteHeader notes the first final status.
func (rec *record) WriteHeader(status int) {
	if rec.status == 0 && status >= 200 {
		rec.status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

// Write is a WriteHeader(200) if there was none, as everywhere.
func (rec *record) Write(p []byte) (int, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	return rec.ResponseWriter.Write(p)
}

// fail answers with the error and keeps it for the log.
func (rec *record) fail(r *http.Request, err error) {
	rec.err = err
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		writeStatusError(rec, statusClientGone, core.KindInternal, "the client closed the request")
		return
	}
	WriteError(rec, r, err)
}

// observe serves a request with next, logs it in one line, and answers 500 if
// next panics.
func (s *server) observe(next func(rec *record, r *http.Request)) http.Handler {
	logger := s.Logger
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := s.Repositories.Now()
		rec := &record{ResponseWriter: w}
		id := core.NewID("req", began)
		w.Header().Set("X-Request-Id", id)
		defer func() {
			p := recover()
			if p == http.ErrAbortHandler { //nolint:errorlint // the documented comparison
				panic(p)
			}
			if p != nil {
				logger.Error("request panicked", "request_id", id, "panic", p, "stack", string(debug.Stack()))
				if rec.status == 0 {
					WriteError(rec, r, core.Errorf(core.KindInternal, "panic"))
				}
			}
			level := hclog.Info
			fields := []any{"request_id", id, "method", r.Method, "route", rec.route, "status", rec.status,
				"duration", s.Repositories.Now().Sub(began), "org", rec.org, "subject", rec.subject}
			if rec.err != nil {
				fields = append(fields, "error", rec.err)
			}
			if rec.status >= http.StatusInternalServerError {
				level = hclog.Error
			}
			logger.Log(level, "request served", fields...)
		}()
		next(rec, r)
	})
}
