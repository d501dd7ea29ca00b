package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

const (
	// streamSilence is how long a stream may say nothing: the server says
	// something every 15 s.
	streamSilence = 50 * time.Second
	// maxStreamLine bounds one line of a stream, in bytes.
	maxStreamLine = 8 << 20
	// progressEvent is the type of what the feed tells of a running sync.
	progressEvent = "sync.progress"
	gapEvent      = "gap"
)

// progressOf returns what an event of a running sync tells.
func progressOf(e rest.Event) (rest.SyncProgress, bool) {
	var p rest.SyncProgress
	return p, e.Type == progressEvent && json.Unmarshal(e.Body, &p) == nil
}

// feedQuery selects events: those of one repository or of the organisation.
type feedQuery struct {
	repo  string // "" is the organisation
	types []string
}

// as signs a call for what the query selects.
func (q feedQuery) as(c *client) rest.RequestEditorFn {
	if q.repo == "" {
		return c.as(orgClaim, access.OrgRead)
	}
	return c.as(q.repo, access.GitRead)
}

// params are the parameters of a query.
func (q feedQuery) params() rest.ListEventsParams {
	var p rest.ListEventsParams
	if len(q.types) > 0 {
		p.Type = &q.types
	}
	return p
}

// events lists the events after a position, page by page.
func (c *client) events(ctx context.Context, q feedQuery, after string, each func(rest.Event) error) error {
	params := q.params()
	params.Limit = new(pageSize)
	for {
		params.After = &after
		page, err := c.ListEvents(ctx, &params, q.as(c))
		if err != nil {
			return err
		}
		if page.Gap {
			if err := each(rest.Event{Type: gapEvent}); err != nil {
				return err
			}
		}
		for _, e := range page.Events {
			if err := each(e); err != nil {
				return err
			}
		}
		if !page.HasMore {
			return nil
		}
		after = page.NextCursor
	}
}

// errStreamSilent says that a stream's connection is dead.
var errStreamSilent = errors.New("the server fell silent")

// stream follows events until the server ends the stream, which is not an error: it
// ends when the token expires. It begins after the position, or with the next event
// if that is "". reached is called with each position from which to continue, the
// first time when the stream begins.
func (c *client) stream(ctx context.Context, q feedQuery, after string, reached func(position string), each func(rest.Event) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	endless := *c.http
	endless.Timeout = 0
	api, err := newClient(c.base, c.sign, &endless)
	if err != nil {
		return err
	}
	silence := time.AfterFunc(streamSilence, func() { cancel(errStreamSilent) })
	defer silence.Stop()
	params := q.params()
	params.LastEventID = optional(after)
	resp, err := rest.Check(api.Client.ListEvents(ctx, &params, q.as(c), func(_ context.Context, r *http.Request) error { //nolint:bodyclose // closed below, Check passes it on
		r.Header.Set("Accept", "text/event-stream")
		return nil
	}))
	if err != nil {
		return streamError(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxStreamLine)
	position := ""
	for lines.Scan() {
		silence.Reset(streamSilence)
		line := lines.Text()
		if data, ok := strings.CutPrefix(line, "data: "); ok { // one line for each event
			var e rest.Event
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				return wrapf(err, "check that --server is a Headwater server of this version", "cannot read the events of %s", c.base)
			}
			if err := each(e); err != nil {
				return err
			}
		} else if id, ok := strings.CutPrefix(line, "id: "); ok {
			position = id
		} else if line == "" && position != "" { // the end of what the id is of
			reached(position)
			position = ""
		}
	}
	return streamError(ctx, lines.Err())
}

// streamError says why a stream ended if its context knows better.
func streamError(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
