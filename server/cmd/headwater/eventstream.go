package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
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

// eventAnswer is an event as the API tells it.
type eventAnswer struct {
	ID         string               `json:"id,omitempty"`  // "" of progress
	Seq        int64                `json:"seq,omitempty"` // 0 of progress
	Type       string               `json:"type"`
	Repository core.EventRepository `json:"repository"`
	CreatedAt  time.Time            `json:"created_at"`
	Body       json.RawMessage      `json:"body"`
}

// progress returns what an event of a running sync tells.
func (e eventAnswer) progress() (core.Progress, bool) {
	var p core.Progress
	return p, e.Type == progressEvent && json.Unmarshal(e.Body, &p) == nil
}

// feedQuery selects events: those of one repository or of the organisation.
type feedQuery struct {
	repo  string // "" is the organisation
	types []string
}

// grant is the token's part of a query.
func (q feedQuery) grant() (repo string, scope access.Scope) {
	if q.repo == "" {
		return orgClaim, access.OrgRead
	}
	return q.repo, access.GitRead
}

func (q feedQuery) values() url.Values {
	v := url.Values{}
	if len(q.types) > 0 {
		v.Set("type", strings.Join(q.types, ","))
	}
	return v
}

// events lists the events after a position, page by page.
func (c *client) events(ctx context.Context, q feedQuery, after string, each func(eventAnswer) error) error {
	repo, scope := q.grant()
	query := q.values()
	query.Set("limit", "100")
	for {
		query.Set("after", after)
		var page struct {
			Events     []eventAnswer `json:"events"`
			NextCursor string        `json:"next_cursor"`
			HasMore    bool          `json:"has_more"`
			Gap        bool          `json:"gap"`
		}
		call := apiCall{method: http.MethodGet, path: []string{"api", "events"}, query: query, repo: repo, scopes: []access.Scope{scope}}
		if err := c.do(ctx, call, &page); err != nil {
			return err
		}
		if page.Gap {
			if err := each(eventAnswer{Type: gapEvent}); err != nil {
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

// stream follows events until the server ends the stream, which is no error: a
// stream lives as long as its token. It begins after the position, or with what
// comes next if that is "". Reached is called with each position after which to
// go on, the first time when the stream begins.
func (c *client) stream(ctx context.Context, q feedQuery, after string, reached func(position string), each func(eventAnswer) error) error {
	repo, scope := q.grant()
	token, err := c.sign.token(grant{repo: repo, scopes: []access.Scope{scope}, life: callTokenLife})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	target := c.base.JoinPath("api", "events")
	target.RawQuery = q.values().Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("User-Agent", "headwater/"+version())
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	endless := *c.http
	endless.Timeout = 0
	silence := time.AfterFunc(streamSilence, func() { cancel(errStreamSilent) })
	defer silence.Stop()
	resp, err := endless.Do(req)
	if err != nil {
		return streamError(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		answer, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		return &apiError{status: resp.StatusCode, text: errorText(resp, answer), retryAfter: resp.Header.Get("Retry-After")}
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxStreamLine)
	position := ""
	for lines.Scan() {
		silence.Reset(streamSilence)
		line := lines.Text()
		if data, ok := strings.CutPrefix(line, "data: "); ok { // one line for each event
			var e eventAnswer
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
