// Package tracing exports the spans of core/trace by OpenTelemetry (OTLP over HTTP).
package tracing

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/trace"
)

// Tracing is a [trace.Tracer] that sends its spans to a collector. nil traces nothing.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   oteltrace.Tracer
	context  propagation.TraceContext
}

var _ trace.Tracer = (*Tracing)(nil)

// New returns a tracer that sends to the collector at an http or https URL; without a path
// in it, to /v1/traces. Nothing is sent before the first span. Errors: KindInvalid for what
// is no such URL.
func New(ctx context.Context, endpoint, version string) (*Tracing, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, core.Errorf(core.KindInvalid, "the address of the collector must be an http or https URL without a user, like http://127.0.0.1:4318")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.String()),
		// No environment variable chooses a proxy anywhere in this server.
		otlptracehttp.WithProxy(func(*http.Request) (*url.URL, error) { return nil, nil })) //nolint:nilnil // no proxy
	if err != nil {
		return nil, fmt.Errorf("prepare the export of traces: %w", err)
	}
	return newTracing(sdktrace.WithBatcher(exporter), version), nil
}

func newTracing(processor sdktrace.TracerProviderOption, version string) *Tracing {
	about := resource.NewSchemaless(attribute.String("service.name", "headwater"), attribute.String("service.version", version))
	p := sdktrace.NewTracerProvider(processor, sdktrace.WithResource(about))
	return &Tracing{provider: p, tracer: p.Tracer("headwater")}
}

// Shutdown sends what is left, until ctx ends.
func (t *Tracing) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// Wrap has requests traced, in the trace that their header traceparent names if they have
// one.
func (t *Tracing) Wrap(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := t.context.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		next.ServeHTTP(w, r.WithContext(trace.With(ctx, t)))
	})
}

// With has what is done in the context traced.
func (t *Tracing) With(ctx context.Context) context.Context {
	if t == nil {
		return ctx
	}
	return trace.With(ctx, t)
}

// Start implements [trace.Tracer].
func (t *Tracing) Start(ctx context.Context, name string, at time.Time) (context.Context, trace.Recorder) {
	ctx, span := t.tracer.Start(ctx, name, oteltrace.WithTimestamp(at))
	return ctx, recorder{span}
}

// Parent implements [trace.Tracer].
func (t *Tracing) Parent(ctx context.Context) (header, traceID string) {
	span := oteltrace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return "", ""
	}
	carrier := propagation.MapCarrier{}
	t.context.Inject(ctx, carrier)
	return carrier["traceparent"], span.TraceID().String()
}

// Join implements [trace.Tracer].
func (t *Tracing) Join(ctx context.Context, header string) context.Context {
	return t.context.Extract(ctx, propagation.MapCarrier{"traceparent": header})
}

type recorder struct{ span oteltrace.Span }

// Name implements [trace.Recorder].
func (r recorder) Name(name string) { r.span.SetName(name) }

// Set implements [trace.Recorder].
func (r recorder) Set(key, value string) { r.span.SetAttributes(attribute.String(key, value)) }

// End implements [trace.Recorder].
func (r recorder) End(at time.Time, err error) {
	if err != nil {
		r.span.SetStatus(codes.Error, string(core.KindOf(err)))
	}
	r.span.End(oteltrace.WithTimestamp(at))
}
