package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/events"
)

// fewEvents is a feed that has some events and no more.
type fewEvents struct {
	list    []core.Event
	running []events.RunningSync
}

func (f *fewEvents) Events(_ context.Context, _ events.FeedFilter, after int64, limit int) (events.Page, error) {
	page := events.Page{Next: after}
	for _, e := range f.list {
		if e.Seq > after && len(page.Events) < limit {
			page.Events, page.Next = append(page.Events, e), e.Seq
		}
	}
	page.More = len(page.Events) == limit
	return page, nil
}

func (f *fewEvents) LastSeq(context.Context) (int64, error) { return int64(len(f.list)), nil }

func (f *fewEvents) Follow(events.FeedFilter) (*events.Reader, error) { return &events.Reader{}, nil }

func (f *fewEvents) Progress(context.Context, events.FeedFilter) ([]events.RunningSync, error) {
	return f.running, nil
}

// stuckWriter is the connection of a reader that takes nothing.
type stuckWriter struct {
	http.ResponseWriter
	deadline time.Time
}

func (w *stuckWriter) SetWriteDeadline(at time.Time) error {
	w.deadline = at
	return nil
}

func (w *stuckWriter) Write([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

func newEventStream(w http.ResponseWriter) *eventStream {
	return &eventStream{w: w, out: http.NewResponseController(w), sent: map[string]core.Progress{}, check: func(context.Context) error { return nil }}
}

// TestServer_follow_cutsOffSlowReaders gives every write a deadline and ends
// with the first that misses it; nothing more is read for the reader.
func TestServer_follow_cutsOffSlowReaders(t *testing.T) {
	t.Parallel()
	feed := &fewEvents{}
	for seq := range int64(1000) {
		feed.list = append(feed.list, core.Event{Seq: seq + 1, Type: core.EventPush, Payload: []byte(`{}`)})
	}
	s := &server{Options: Options{Events: feed, Clock: core.SystemClock{}}}
	w := &stuckWriter{ResponseWriter: httptest.NewRecorder()}
	stream := newEventStream(w)
	began := time.Now()
	err := s.follow(t.Context(), stream, &events.Reader{}, feedRequest{})
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.WithinRange(t, w.deadline, began, time.Now().Add(streamWrite))
	require.Less(t, stream.text.Len(), 1<<20, "one batch at most is gathered")
}

// tickClock is a clock whose every wait ends with the next tick.
type tickClock struct {
	core.SystemClock
	tick chan time.Time
}

// After implements [core.Clock].
func (c tickClock) After(time.Duration) <-chan time.Time { return c.tick }

// TestServer_await_livesAndEnds looks at what a silent stream does.
func TestServer_await_livesAndEnds(t *testing.T) {
	t.Parallel()
	repo := core.Repository{ID: "repo_a", Org: "acme", Name: "team/app"}
	feed := &fewEvents{running: []events.RunningSync{{Repository: repo, Progress: core.Progress{Phase: "Receiving objects", Percent: 40}}}}
	stopping := make(chan struct{})
	clock := tickClock{tick: make(chan time.Time)}
	s := &server{Options: Options{Events: feed, Clock: clock, Stopping: stopping}}
	w := httptest.NewRecorder()
	stream := newEventStream(w)
	reader := &events.Reader{}

	beat := make(chan time.Time, 1)
	beat <- time.Time{}
	stream.beat = beat
	require.NoError(t, s.await(t.Context(), stream, reader, feedRequest{}))
	require.Equal(t, ": heartbeat\n\n", stream.text.String())
	require.Equal(t, (<-chan time.Time)(clock.tick), stream.beat, "the next heartbeat is due, too")
	stream.text.Reset()

	// Progress is written when it has changed.
	stream.beat, stream.progress = nil, clock.tick
	ended := make(chan error, 1)
	go func() { ended <- s.await(t.Context(), stream, reader, feedRequest{}) }()
	for range 2 {
		clock.tick <- time.Time{}
	}
	close(stopping)
	require.ErrorIs(t, <-ended, errStreamEnds)
	require.Regexp(t, `^event: sync.progress\ndata: \{"type":"sync.progress","repository":\{"id":"repo_a","url":"team/app","repo_name":"team/app"\},.*"percent":40,.*\}\n\n$`, w.Body.String())

	s.Stopping = nil
	ctx, cancel := context.WithCancel(t.Context())
	quiet := newEventStream(httptest.NewRecorder())
	go func() { ended <- s.await(ctx, quiet, reader, feedRequest{}) }()
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Empty(t, quiet.sent)
}
