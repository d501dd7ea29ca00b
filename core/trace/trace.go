// Package trace lets the core say what belongs to one request, without knowing who
// listens: a context carries the [Tracer], and without one nothing is done. The server
// brings one that exports by OpenTelemetry.
package trace

import (
	"context"
	"time"
)

// Tracer makes spans.
type Tracer interface {
	// Start begins a span below that of the context, and returns a context with it.
	Start(ctx context.Context, name string, at time.Time) (context.Context, Recorder)
	// Parent returns the header traceparent (W3C Trace Context) of the context's
	// span and its trace id, both "" without one.
	Parent(ctx context.Context) (header, traceID string)
	// Join returns a context whose spans are below the one that a header traceparent
	// names; one that names none changes nothing.
	Join(ctx context.Context, header string) context.Context
}

// Recorder is one span of a [Tracer]. End is called once, last.
type Recorder interface {
	Name(name string)
	Set(key, value string)
	End(at time.Time, err error)
}

type key struct{}

// With returns a context in which spans are made by t; nil: none are.
func With(ctx context.Context, t Tracer) context.Context {
	if t == nil {
		return ctx
	}
	return context.WithValue(ctx, key{}, t)
}

// Span is a piece of work under way. The zero value records nothing.
type Span struct{ r Recorder }

// Start begins a span at a time. Names come from a small set: no name of a repository is in
// one.
func Start(ctx context.Context, name string, at time.Time) (context.Context, Span) {
	t, ok := ctx.Value(key{}).(Tracer)
	if !ok {
		return ctx, Span{}
	}
	ctx, r := t.Start(ctx, name, at)
	return ctx, Span{r}
}

// Record makes a span of what is over.
func Record(ctx context.Context, name string, began, ended time.Time, err error) {
	_, span := Start(ctx, name, began)
	span.End(ended, err)
}

// On reports whether anything is recorded.
func (s Span) On() bool { return s.r != nil }

// Name gives the span another name.
func (s Span) Name(name string) {
	if s.r != nil {
		s.r.Name(name)
	}
}

// Set adds an attribute. Values may not be secrets.
func (s Span) Set(key, value string) {
	if s.r != nil && value != "" {
		s.r.Set(key, value)
	}
}

// End ends the span at a time; err, if there is one, marks it as failed. The error's text
// is not recorded: it may have names of tenants.
func (s Span) End(at time.Time, err error) {
	if s.r != nil {
		s.r.End(at, err)
	}
}

// Parent returns the header traceparent for what a context's span asks others to do, "" if
// nothing is traced.
func Parent(ctx context.Context) string {
	header, _ := parent(ctx)
	return header
}

// Join has what follows recorded below the span that a header traceparent names, which
// may be over long ago; "" changes nothing.
func Join(ctx context.Context, header string) context.Context {
	t, ok := ctx.Value(key{}).(Tracer)
	if !ok || header == "" {
		return ctx
	}
	return t.Join(ctx, header)
}

// ID returns the id of the context's trace for the log, "" if nothing is traced.
func ID(ctx context.Context) string {
	_, id := parent(ctx)
	return id
}

func parent(ctx context.Context) (header, traceID string) {
	t, ok := ctx.Value(key{}).(Tracer)
	if !ok {
		return "", ""
	}
	return t.Parent(ctx)
}
