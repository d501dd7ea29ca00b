package middleware

import (
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/trace"
)

// Handler serves one request. The error that it returns is answered by [Errors];
// after one it must not have begun an answer, unless the surface's own form
// knows what to do then.
type Handler func(x *Exchange, r *http.Request) error

// Stack is what a surface does around every request. Errors is required.
type Stack struct {
	IDs      RequestIDs
	Log      AccessLog
	Recovery Recovery
	Errors   Errors
	Measure  Measure
}

// Measure is notified of every request when it is over, for whoever counts, with how long
// it took by the system's clock. nil: nobody does.
type Measure func(x *Exchange, r *http.Request, took time.Duration)

// begin takes the time and returns what is to be called at the end.
func (m Measure) begin(x *Exchange, r *http.Request) (end func()) {
	if m == nil {
		return func() {}
	}
	clock := core.SystemClock{}
	began := clock.Now()
	return func() { m(x, r, clock.Now().Sub(began)) }
}

// Serve serves one request with the handler. The log line is written last, so
// that it knows what became of an error or of a panic.
func (s *Stack) Serve(w http.ResponseWriter, r *http.Request, serve Handler) {
	x := &Exchange{ResponseWriter: w}
	s.IDs.assign(x)
	r, end := traced(x, r)
	defer end()
	defer s.Log.begin(x, r)()
	defer s.Measure.begin(x, r)()
	defer s.Recovery.catch(x, r, s.Errors)
	if err := serve(x, r); err != nil {
		x.Err = err
		s.Errors.Answer(x, r, err)
	}
}

// traced begins the span of a request and returns what is to be called at the end.
func traced(x *Exchange, r *http.Request) (request *http.Request, end func()) {
	clock := core.SystemClock{}
	ctx, span := trace.Start(r.Context(), r.Method, clock.Now())
	if !span.On() {
		return r, func() {}
	}
	return r.WithContext(ctx), func() {
		if x.Route != "" {
			span.Name(r.Method + " " + x.Route)
		}
		span.Set("http.route", x.Route)
		span.Set("http.response.status_code", strconv.Itoa(x.Status()))
		span.Set("headwater.request_id", x.ID)
		span.Set("headwater.organisation", x.Identity.Org)
		span.End(clock.Now(), x.Err)
	}
}

// RequestIDs gives every request an id, which the answer has in X-Request-Id. The
// zero value gives none.
type RequestIDs struct {
	Now func() time.Time
}

func (ids RequestIDs) assign(x *Exchange) {
	if ids.Now == nil {
		return
	}
	x.ID = core.NewID("req", ids.Now())
	x.Header().Set("X-Request-Id", x.ID)
}

// AccessLog tells of every request when it is over, also of one that is cut off.
// The zero value tells nothing.
type AccessLog struct {
	Now func() time.Time
	// Line writes the line, if the surface has one for this request.
	Line func(x *Exchange, r *http.Request, took time.Duration)
}

// begin takes the time and returns what is to be called at the end.
func (l AccessLog) begin(x *Exchange, r *http.Request) (end func()) {
	if l.Line == nil {
		return func() {}
	}
	began := l.Now()
	return func() { l.Line(x, r, l.Now().Sub(began)) }
}

// Recovery answers a request whose handler panics as an internal error. If the
// answer has begun, it cuts the connection off instead, because a part of an
// answer must not look like the whole.
type Recovery struct {
	Logger hclog.Logger
}

// catch must be deferred itself, because recover works nowhere else.
func (c Recovery) catch(x *Exchange, r *http.Request, e Errors) {
	p := recover()
	switch {
	case p == nil:
		return
	case p == http.ErrAbortHandler: //nolint:errorlint // the documented comparison
		x.Aborted = true
		panic(p)
	}
	var fields []any
	if x.ID != "" {
		fields = append(fields, "request_id", x.ID)
	}
	c.Logger.Error("request panicked", append(fields, "panic", p, "stack", string(debug.Stack()))...)
	if x.Began() {
		panic(http.ErrAbortHandler)
	}
	e.Answer(x, r, core.Errorf(core.KindInternal, "internal error"))
}

// Errors answers requests that failed.
type Errors struct {
	// Answer writes the answer in the form of the surface.
	Answer func(x *Exchange, r *http.Request, err error)
}
