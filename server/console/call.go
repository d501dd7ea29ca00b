package console

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/middleware"
)

// caller is the browser's request that a call of the API is made for.
type caller struct{ remoteAddr, userAgent string }

type (
	callerKey   struct{}
	identityKey struct{}
)

// withCaller notes where a browser's request came from, for the audit.
func withCaller(ctx context.Context, r *http.Request) context.Context {
	return context.WithValue(ctx, callerKey{}, caller{r.RemoteAddr, r.UserAgent()})
}

// as returns a context in which calls of the API are made by an identity.
func as(ctx context.Context, id access.Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// identityOf returns who makes a call. Errors: KindUnauthenticated.
func identityOf(ctx context.Context) (access.Identity, error) {
	id, ok := ctx.Value(identityKey{}).(access.Identity)
	if !ok {
		return access.Identity{}, core.Errorf(core.KindUnauthenticated, "nobody is signed in")
	}
	return id, nil
}

// newAPI returns the client of a handler in this process.
func newAPI(h http.Handler) (*client.API, error) {
	return client.New("http://console.invalid", client.WithHTTPClient(&http.Client{Transport: inProcess{h}}))
}

// inProcess serves requests with a handler, and keeps answers in memory: those that the
// console asks for are pages of lists.
type inProcess struct{ handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	from, _ := r.Context().Value(callerKey{}).(caller)
	r.RemoteAddr = from.remoteAddr
	r.Header.Set("User-Agent", from.userAgent)
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := &answer{header: http.Header{}}
	p.handler.ServeHTTP(w, r)
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return &http.Response{
		StatusCode: w.status, Status: http.StatusText(w.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// answer keeps what a handler answers.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// refusal returns the words of an answer that is not a success; "" for none.
func refusal(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e.Message
	}
	return core.MessageOf(err)
}

// statusOf returns the status of HTTP that an error is answered with: the API's.
func (c *Console) statusOf(err error) int {
	if e, ok := errors.AsType[*client.Error](err); ok {
		return e.Status
	}
	if errors.Is(err, middleware.ErrSlowBody) {
		return http.StatusRequestTimeout
	}
	return c.StatusOf(core.KindOf(err))
}
