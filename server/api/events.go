package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/events"
	"github.com/headwater-git/headwater/server/middleware"
)

// EventFeed reads the events of organisations. [*events.Service] implements it.
type EventFeed interface {
	Events(ctx context.Context, f events.FeedFilter, after int64, limit int) (events.Page, error)
	LastSeq(ctx context.Context) (int64, error)
	Follow(f events.FeedFilter) (*events.Reader, error)
	Progress(ctx context.Context, f events.FeedFilter) ([]events.RunningSync, error)
}

var _ EventFeed = (*events.Service)(nil)

const (
	// progressType is the type of what the feed tells of running syncs. It is
	// no event: it has no id, is not stored, and webhooks do not get it.
	progressType = "sync.progress"
	// gapType tells a reader that events between its position and the next one
	// are not kept any more. It is no event either.
	gapType = "gap"
	// eventStreamType is the media type of server-sent events.
	eventStreamType = "text/event-stream"

	// heartbeat is how long a stream is silent at most, so that proxies and
	// clients know that it lives.
	heartbeat = 15 * time.Second
	// progressInterval is how often a stream looks at the running syncs.
	progressInterval = time.Second
	// recheckInterval is how often a stream looks whether its token is still good.
	recheckInterval = time.Second
	// streamBatch is how many events are read for a stream at once.
	streamBatch = 100
	// streamWrite is how long a reader may take to make room for what is
	// written. Slower ones are cut off: they come back with the last id they
	// have, and nothing is kept for them meanwhile.
	streamWrite = 20 * time.Second
	// streamRetry is after how long browsers connect again.
	streamRetry = 2 * time.Second
)

// eventView is an event in the feed.
type eventView struct {
	ID         string               `json:"id"`
	Seq        int64                `json:"seq"` // place in the feed
	Type       string               `json:"type"`
	Repository core.EventRepository `json:"repository"`
	CreatedAt  core.Timestamp       `json:"created_at"`
	Body       json.RawMessage      `json:"body"` // as webhooks send it
}

// progressView is what a stream tells of a running sync.
type progressView struct {
	Type       string               `json:"type"`
	Repository core.EventRepository `json:"repository"`
	CreatedAt  core.Timestamp       `json:"created_at"`
	Body       core.Progress        `json:"body"`
}

// eventList is a page of the feed, oldest first. NextCursor is always there: it
// is where to go on later.
type eventList struct {
	Events     []eventView `json:"events"`
	NextCursor string      `json:"next_cursor"`
	HasMore    bool        `json:"has_more"`
	Gap        bool        `json:"gap"` // events before these are not kept any more
}

// gapView is what a stream tells of a reader who comes too late.
type gapView struct {
	Type  string `json:"type"`
	After int64  `json:"after"` // the position that was asked for
}

// feedRequest is what a reader wants.
type feedRequest struct {
	filter   events.FeedFilter
	progress bool
	after    int64
	resumes  bool // after was given
	limit    int
}

// listEvents answers a page of events, or with a stream of them if that is
// accepted.
func (s *server) listEvents(c *call) error {
	if s.Events == nil {
		return core.Errorf(core.KindUnsupported, "this server has no event feed")
	}
	request, err := s.feedRequest(c)
	if err != nil {
		return err
	}
	if strings.Contains(c.r.Header.Get("Accept"), eventStreamType) {
		return s.streamEvents(c, request)
	}
	page, err := s.Events.Events(c.ctx(), request.filter, request.after, request.limit)
	if err != nil {
		return err
	}
	answer := eventList{Events: []eventView{}, NextCursor: strconv.FormatInt(page.Next, 10), HasMore: page.More, Gap: page.Gap}
	for _, e := range page.Events {
		answer.Events = append(answer.Events, viewEvent(e))
	}
	return c.answer(http.StatusOK, answer)
}

func (s *server) feedRequest(c *call) (feedRequest, error) {
	query := params{c.r.URL.Query()}
	request := feedRequest{filter: events.FeedFilter{Org: c.identity.Org, RepoID: c.repo.ID}}
	if name := query.Get("repo"); name != "" {
		repo, err := s.Lookup.Repository(c.ctx(), c.identity.Org, name)
		switch {
		case c.repo.ID != "" && (err != nil || repo.ID != c.repo.ID):
			return request, core.Errorf(core.KindPermission, "the token is for another repository than the parameter \"repo\"")
		case err != nil:
			return request, err
		}
		request.filter.RepoID = repo.ID
	}
	request.progress = true
	if types := query.types(); len(types) > 0 {
		known := append(core.EventTypes(), progressType)
		for _, t := range types {
			if !slices.Contains(known, t) {
				return request, core.Errorf(core.KindInvalid, "the event type %q is unknown; known are %s", t, strings.Join(known, ", "))
			}
		}
		request.filter.Types = types
		request.progress = slices.Contains(types, progressType)
	}
	var err error
	if request.limit, err = query.limit(defaultLimit, maxLimit); err != nil {
		return request, err
	}
	position := c.r.Header.Get("Last-Event-ID")
	if position == "" {
		position = query.any("after", "cursor")
	}
	if position == "" {
		return request, nil
	}
	request.resumes = true
	if request.after, err = strconv.ParseInt(position, 10, 64); err != nil || request.after < 0 {
		return request, core.Errorf(core.KindInvalid, "the position %q is not one that this feed gave", position)
	}
	return request, nil
}

// types reads the types of a filter, repeated or separated by commas.
func (q params) types() []string {
	var types []string
	for _, list := range q.Values["type"] {
		for t := range strings.SplitSeq(list, ",") {
			if t = strings.TrimSpace(t); t != "" {
				types = append(types, t)
			}
		}
	}
	return types
}

func viewEvent(e core.Event) eventView {
	return eventView{
		ID: e.ID, Seq: e.Seq, Type: e.Type, Repository: events.RepositoryOf(e), CreatedAt: core.Timestamp(e.CreatedAt), Body: json.RawMessage(e.Payload),
	}
}

// eventStream writes server-sent events. An error of it means that the reader
// is gone or too slow.
type eventStream struct {
	w    http.ResponseWriter
	out  *http.ResponseController
	text bytes.Buffer
	// sent is the progress of running syncs that was last written, by repository id.
	sent map[string]core.Progress
	// beat and progress are due with the next heartbeat and the next look at the
	// running syncs; progress is nil in a stream without it.
	beat, progress <-chan time.Time
	// check says whether the token of the stream is still good; it is due with recheck.
	check   func(ctx context.Context) error
	recheck <-chan time.Time
}

// send writes what has been gathered.
func (s *eventStream) send() error {
	if s.text.Len() == 0 {
		return nil
	}
	// Not every writer of a test can do that; those of servers can.
	_ = s.out.SetWriteDeadline(middleware.SocketTime().Add(streamWrite))
	if _, err := s.w.Write(s.text.Bytes()); err != nil {
		return err
	}
	s.text.Reset()
	return s.out.Flush()
}

// add gathers one event. JSON has no line breaks, so it is one line of data.
func (s *eventStream) add(id, typ string, data any) error {
	encoded, err := json.Marshal(data)
	if err != nil {
		return err
	}
	if id != "" {
		fmt.Fprintf(&s.text, "id: %s\n", id)
	}
	fmt.Fprintf(&s.text, "event: %s\ndata: %s\n\n", typ, encoded)
	return nil
}

// streamEvents writes events as they become true, until the reader goes, its
// token expires or is revoked, or the server stops. After the first byte there is no other
// way to tell an error than to end.
func (s *server) streamEvents(c *call, request feedRequest) error {
	reader, err := s.Events.Follow(request.filter)
	if err != nil {
		return err
	}
	defer reader.Close()
	if !request.resumes {
		// After Follow, so that nothing falls between the two.
		if request.after, err = s.Events.LastSeq(c.ctx()); err != nil {
			return err
		}
	}
	header := c.w.Header()
	header.Set("Content-Type", eventStreamType)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx would gather events for seconds
	header.Set("X-Content-Type-Options", "nosniff")
	c.w.WriteHeader(http.StatusOK)
	if c.r.Method == http.MethodHead {
		return nil
	}
	stream := &eventStream{w: c.w, out: http.NewResponseController(c.w), sent: map[string]core.Progress{}}
	stream.check = func(ctx context.Context) error { return s.Verifier.Recheck(ctx, c.identity) }
	// The position goes out first, so that a stream which breaks before its
	// first event is taken up from where it began.
	fmt.Fprintf(&stream.text, "retry: %d\nid: %d\n\n", streamRetry.Milliseconds(), request.after)
	// A stream opens no more than its token does at the time.
	ctx, cancel := context.WithDeadline(c.ctx(), c.identity.ExpiresAt)
	defer cancel()
	// What ends it is the end of the answer, not a failure of the call.
	if err := s.follow(ctx, stream, reader, request); err != nil && ctx.Err() == nil {
		s.Logger.Debug("an event stream ended", "org", c.identity.Org, "error", err)
	}
	return nil
}

// follow writes events until ctx ends, the server stops, or something fails.
func (s *server) follow(ctx context.Context, stream *eventStream, reader *events.Reader, request feedRequest) error {
	stream.beat, stream.recheck = s.Clock.After(heartbeat), s.Clock.After(recheckInterval)
	if request.progress {
		stream.progress = s.Clock.After(progressInterval)
	}
	after := request.after
	for {
		// Also here, because a stream that always has something to write waits for nothing.
		if err := stream.check(ctx); err != nil {
			return err
		}
		page, err := s.Events.Events(ctx, request.filter, after, streamBatch)
		if err != nil {
			return err
		}
		if page.Gap {
			if err := stream.add("", gapType, gapView{gapType, after}); err != nil {
				return err
			}
		}
		for _, e := range page.Events {
			if err := stream.add(strconv.FormatInt(e.Seq, 10), e.Type, viewEvent(e)); err != nil {
				return err
			}
			delete(stream.sent, e.RepoID)
		}
		after = page.Next
		if err := stream.send(); err != nil {
			return err
		}
		if page.More {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			select {
			case <-s.Stopping:
				return nil
			default:
				continue
			}
		}
		if err := s.await(ctx, stream, reader, request); err != nil {
			return err
		}
	}
}

// errStreamEnds says that a stream ends as it should.
var errStreamEnds = context.Canceled

// await waits for new events. Meanwhile it writes heartbeats and the progress of
// running syncs.
func (s *server) await(ctx context.Context, stream *eventStream, reader *events.Reader, request feedRequest) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.Stopping:
			return errStreamEnds
		case <-reader.Changed():
			return nil
		case <-stream.recheck:
			stream.recheck = s.Clock.After(recheckInterval)
			if err := stream.check(ctx); err != nil {
				return err
			}
		case <-stream.beat:
			stream.beat = s.Clock.After(heartbeat)
			stream.text.WriteString(": heartbeat\n\n")
			// Another process may have written events, of which Changed knows nothing.
			return nil
		case <-stream.progress:
			stream.progress = s.Clock.After(progressInterval)
			if err := s.writeProgress(ctx, stream, request); err != nil {
				return err
			}
		}
	}
}

// writeProgress writes the running syncs whose progress has changed.
func (s *server) writeProgress(ctx context.Context, stream *eventStream, request feedRequest) error {
	running, err := s.Events.Progress(ctx, request.filter)
	if err != nil {
		return err
	}
	now := map[string]core.Progress{}
	for _, r := range running {
		now[r.Repository.ID] = r.Progress
		if sent, ok := stream.sent[r.Repository.ID]; ok && sent == r.Progress {
			continue
		}
		if err := stream.add("", progressType, progressView{
			Type: progressType, Repository: core.EventRepositoryOf(r.Repository),
			CreatedAt: core.Timestamp(s.Clock.Now()), Body: r.Progress,
		}); err != nil {
			return err
		}
	}
	stream.sent = now
	return stream.send()
}
