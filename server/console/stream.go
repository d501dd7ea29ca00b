package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server/middleware"
)

const (
	// streamLook is how often a stream looks for events, and whether its session is good.
	streamLook = time.Second
	// streamBeat is how long a stream is silent at most, so that proxies know that it
	// lives, and pages that no proxy holds it back: console.js waits a little longer.
	streamBeat = 15 * time.Second
	// streamBatch is how many events one look takes.
	streamBatch = 100
	// streamWrite is how long a browser may take to make room for what is written.
	streamWrite = 20 * time.Second
	// maxStreams bounds those of everybody, maxStreamsEach those of one session: pages
	// that get none ask every few seconds instead.
	maxStreams, maxStreamsEach = 256, 8
)

// beat is an event that says nothing but that the stream gets through.
const beat = "event: beat\ndata: {}\n\n"

// streams counts those that are open, by session.
type streams struct {
	mu   sync.Mutex
	all  int
	each map[string]int
}

func (s *streams) enter(session string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= maxStreams || s.each[session] >= maxStreamsEach {
		return false
	}
	if s.each == nil {
		s.each = map[string]int{}
	}
	s.all++
	s.each[session]++
	return true
}

func (s *streams) leave(session string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all--
	if s.each[session]--; s.each[session] <= 0 {
		delete(s.each, session)
	}
}

// stream says to an open page that something has happened, and to which repositories: the
// page fetches anew what it shows. It ends with the session, within a second.
func (c *Console) stream(w http.ResponseWriter, r *http.Request, s *session) error {
	if !c.streams.enter(s.ID) {
		return &core.Error{Kind: core.KindRateLimited, Message: "too many pages follow what happens; this one asks every few seconds", RetryAfter: streamBeat}
	}
	defer c.streams.leave(s.ID)
	after, err := c.Store.LastSeq(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would gather events for seconds
	w.WriteHeader(http.StatusOK)
	out := http.NewResponseController(w)
	send := func(text string) error {
		// Not every writer of a test can do that; those of servers can.
		_ = out.SetWriteDeadline(middleware.SocketTime().Add(streamWrite))
		if _, err := w.Write([]byte(text)); err != nil {
			return err
		}
		return out.Flush()
	}
	if err := c.follow(r, s, after, send); err != nil && r.Context().Err() == nil {
		// After the first byte there is no other way to say it than to end.
		c.Logger.Debug("an event stream of the console ended", "error", err)
	}
	return nil
}

// follow sends events until the page, the session or the server ends.
func (c *Console) follow(r *http.Request, s *session, after int64, send func(string) error) error {
	if err := send("retry: 5000\n" + beat); err != nil {
		return err
	}
	silent := c.Clock.Now()
	for {
		select {
		case <-r.Context().Done():
			return nil
		case <-c.Stopping:
			return nil
		case <-c.Clock.After(streamLook):
		}
		if _, err := c.session(r); core.KindOf(err) == core.KindUnauthenticated {
			return send("event: end\ndata: {}\n\n")
		} else if err != nil {
			return err
		}
		repos, last, err := c.changed(r.Context(), s, after)
		if err != nil {
			return err
		}
		now := c.Clock.Now()
		var text bytes.Buffer
		switch after = last; {
		case len(repos) > 0:
			data, err := json.Marshal(map[string][]string{"repositories": repos})
			if err != nil {
				return err
			}
			fmt.Fprintf(&text, "event: change\ndata: %s\n\n", data)
		case now.Sub(silent) >= streamBeat:
			text.WriteString(beat)
		default:
			continue
		}
		silent = now
		if err := send(text.String()); err != nil {
			return err
		}
	}
}

// changed returns the ids of the repositories that events after a place in the feed are
// about, of those that the session sees, and the place after these.
func (c *Console) changed(ctx context.Context, s *session, after int64) (repos []string, last int64, err error) {
	var events []core.Event
	if s.Owner() {
		events, err = c.Store.Events(ctx, after, streamBatch)
	} else {
		events, err = c.Store.EventsOf(ctx, core.EventFilter{Org: s.Org, After: after, Limit: streamBatch})
	}
	if err != nil {
		return nil, after, err
	}
	for _, e := range events {
		after = max(after, e.Seq)
		if s.sees(e.Org) && !slices.Contains(repos, e.RepoID) {
			repos = append(repos, e.RepoID)
		}
	}
	return repos, after, nil
}
