package server_test

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server/client"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// otlpReceiver takes traces as a collector does.
type otlpReceiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*tracepb.Span
}

func newOTLPReceiver(t *testing.T) *otlpReceiver {
	t.Helper()
	r := &otlpReceiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var in collector.ExportTraceServiceRequest
		if req.URL.Path != "/v1/traces" || err != nil || proto.Unmarshal(body, &in) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, of := range in.GetResourceSpans() {
			for _, scope := range of.GetScopeSpans() {
				r.spans = append(r.spans, scope.GetSpans()...)
			}
		}
		out, _ := proto.Marshal(&collector.ExportTraceServiceResponse{})
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write(out)
	}))
	t.Cleanup(r.Close)
	return r
}

// trace returns the spans of one trace by their names, and the names of their parents.
func (r *otlpReceiver) trace(id string) map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names, parents := map[string]string{}, map[string]string{}
	for _, s := range r.spans {
		names[string(s.GetSpanId())] = s.GetName()
	}
	for _, s := range r.spans {
		if hex.EncodeToString(s.GetTraceId()) == id {
			parents[s.GetName()] = names[string(s.GetParentSpanId())]
		}
	}
	return parents
}

// names returns the names of all spans.
func (r *otlpReceiver) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for _, s := range r.spans {
		names = append(names, hex.EncodeToString(s.GetTraceId())+" "+s.GetName())
	}
	return names
}

// TestTracing_push: one push is one trace, the client's own, through policy, journal,
// upstream and apply, with the gits that it took, to the webhooks that tell of it.
func TestTracing_push(t *testing.T) {
	t.Parallel()
	r := newOTLPReceiver(t)
	b := startBench(t, forgetest.SeedOptions{Commits: 2}, servertest.Options{TraceEndpoint: r.URL, Webhooks: lab})
	hook := newHookReceiver(t, nil)
	subscribe(t, b.Server, client.CreateWebhookRequest{URL: hook.URL, Events: []string{"push"}})
	c := b.Caller.Client(t, mirror).Clone(b.Remote(mirror))
	c.Commit("one more")
	const id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	c.Git("-c", "http."+b.URL+"/.extraHeader=traceparent: 00-"+id+"-"+parent+"-01", "push", "-q", "origin", "HEAD")
	got := map[string]string{}
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		got = r.trace(id)
		require.Contains(t, got, "push apply", "%v", r.names())
		require.Contains(t, got, "POST /{repo}/git-receive-pack")
		require.NotEmpty(t, got["push"], "its parent has ended, too")
	}, time.Minute, 50*time.Millisecond)
	require.Contains(t, got, "POST /{repo}/git-receive-pack", "its parent is the client's span")
	for _, phase := range []string{"check", "lock", "journal", "upstream", "apply"} {
		require.Equal(t, "push", got["push "+phase], "%v", got)
	}
	require.True(t, strings.HasPrefix(got["push"], "POST "), "%v", got)
	gits := 0
	for name := range got {
		if strings.HasPrefix(name, "git ") {
			gits++
		}
	}
	require.GreaterOrEqual(t, gits, 2, "%v", got)
	select {
	case d := <-hook.got:
		require.Regexp(t, `^00-`+id+`-[0-9a-f]{16}-01$`, d.Header.Get("Traceparent"), "the delivery is in the trace of the push")
	case <-time.After(time.Minute):
		t.Fatal("no delivery came")
	}
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		got := r.trace(id)
		require.Contains(t, got, "webhook attempt", "%v", r.names())
		require.Contains(t, got["webhook attempt"], "push", "below what made the event")
	}, time.Minute, 50*time.Millisecond)
}
