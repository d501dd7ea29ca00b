package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	rest "github.com/headwater-git/headwater/server/client"
)

// reconnectDelay is how long a broken stream is left alone, at first and at
// most.
const (
	reconnectDelay    = time.Second
	maxReconnectDelay = 30 * time.Second
)

func newEventsCommand() *cobra.Command {
	var (
		o              connectOptions
		q              feedQuery
		since          string
		follow, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happened: pushes, syncs, rewrites; and follow what happens",
		Long: `Show the events that the server keeps, oldest first. With --follow show what
comes next until interrupted, with the progress of running syncs; the connection
is made again when it breaks, and nothing is shown twice or left out.`,
		Example: `  headwater events --follow
  headwater events --repo team/app --type push --type repo.sync.failed
  headwater events --since 4211 --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if n, err := strconv.ParseInt(since, 10, 64); since != "" && (err != nil || n < 0) {
				return usagef("give the number at the beginning of a line of `headwater events`", "--since %q is not a position", since)
			}
			c, err := o.connect()
			if err != nil {
				return err
			}
			print := printEvent
			if asJSON {
				print = func(out io.Writer, e rest.Event) error { return encodeEvent(out, e) }
			}
			each := func(e rest.Event) error { return print(cmd.OutOrStdout(), e) }
			if follow {
				err = c.followEvents(cmd.Context(), q, since, cmd.ErrOrStderr(), each)
			} else {
				if since == "" {
					since = "0"
				}
				err = c.events(cmd.Context(), q, since, each)
			}
			return c.explain(err, "read events")
		},
	}
	bindConnect(cmd, &o)
	f := cmd.Flags()
	f.BoolVar(&follow, "follow", false, "go on with what comes next")
	f.StringVar(&q.repo, "repo", "", "only events of this repository")
	f.StringArrayVar(&q.types, "type", nil, "only events of this type; may be repeated")
	f.StringVar(&since, "since", "", "only events after this position (default: all, with --follow what comes next)")
	f.BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}

// followEvents streams events until ctx ends, which is not an error. A connection
// that breaks is made again, from where it was.
func (c *client) followEvents(ctx context.Context, q feedQuery, after string, notes io.Writer, each func(rest.Event) error) error {
	delay := reconnectDelay
	for {
		var failed error // of each: not the connection's fault
		reached := func(position string) { after, delay = position, reconnectDelay }
		err := c.stream(ctx, q, after, reached, func(e rest.Event) error {
			failed = each(e)
			return failed
		})
		if ctx.Err() != nil {
			return nil
		}
		if failed != nil {
			return failed
		}
		if e, ok := errors.AsType[*rest.Error](err); ok && e.Status/100 == 4 && e.Status != 429 {
			return err
		}
		if err != nil {
			fmt.Fprintf(notes, "the connection broke (%v); trying again\n", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(delay):
			}
			delay = min(2*delay, maxReconnectDelay)
		}
	}
}

// printEvent prints one line for a person.
func printEvent(out io.Writer, e rest.Event) error {
	if e.Type == gapEvent {
		_, err := fmt.Fprintln(out, "     -  events between that position and what follows are not kept any more, or were lost before a restore")
		return err
	}
	position := "-"
	if e.Seq > 0 {
		position = strconv.FormatInt(e.Seq, 10)
	}
	_, err := fmt.Fprintf(out, "%6s  %s  %-28s  %s  %s\n", position, e.CreatedAt.Local().Format(time.DateTime), e.Type, e.Repository.URL, summaryOf(e))
	return err
}

// encodeEvent prints an event as JSON. Progress and gaps have neither id nor
// position.
func encodeEvent(out io.Writer, e rest.Event) error {
	if e.ID != "" {
		return json.NewEncoder(out).Encode(e)
	}
	return json.NewEncoder(out).Encode(struct {
		Type       string               `json:"type"`
		Repository rest.EventRepository `json:"repository"`
		CreatedAt  core.Timestamp       `json:"created_at,omitzero"`
		Body       json.RawMessage      `json:"body"`
	}{e.Type, e.Repository, core.Timestamp(e.CreatedAt), e.Body})
}

// summaryOf is what the body of an event says, in a few words.
func summaryOf(e rest.Event) string {
	if p, ok := progressOf(e); ok {
		return fmt.Sprintf("%s %d%%", describe(p), p.Percent)
	}
	var b struct {
		Ref      string        `json:"ref"`
		Before   core.ObjectID `json:"before"`
		After    core.ObjectID `json:"after"`
		Old      any           `json:"old"`
		New      any           `json:"new"`
		Error    string        `json:"error"`
		State    string        `json:"state"`
		Message  string        `json:"message"`
		RunCount int64         `json:"run_count"`
	}
	if json.Unmarshal(e.Body, &b) != nil {
		return ""
	}
	var words []string
	add := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if b.Ref != "" {
		add("%s", b.Ref)
	}
	if b.After != "" {
		add("%s -> %s", shortOld(string(b.Before)), short(string(b.After)))
	}
	if b.New != nil {
		add("%s -> %s", plain(b.Old), plain(b.New))
	}
	if strings.HasPrefix(e.Type, "repo.sync.") {
		run := b.RunCount
		if e.Type == core.EventSyncStarted {
			run++ // it counts the runs that had finished before this one
		}
		add("run %d", run)
	}
	for _, text := range []string{b.State, b.Message, b.Error} {
		if text != "" {
			add("%s", text)
		}
	}
	return strings.Join(words, "  ")
}

// plain is a value of an event's body in words: a branch, an id, or the address
// of an upstream.
func plain(value any) string {
	switch v := value.(type) {
	case string:
		if len(v) >= 40 && strings.Trim(v, "0123456789abcdef") == "" {
			return short(v)
		}
		return v
	case map[string]any:
		if address, ok := v["url"].(string); ok {
			return address
		}
	}
	return fmt.Sprint(value)
}

// watchSync streams the events of a repository to a channel, until ctx ends; it
// closes the channel when the stream ends, for whatever reason.
func (c *client) watchSync(ctx context.Context, name string) <-chan rest.Event {
	events := make(chan rest.Event)
	go func() {
		defer close(events)
		// Whoever watches asks for the state anyhow, and so sees what is wrong.
		_ = c.stream(ctx, feedQuery{repo: name}, "", func(string) {}, func(e rest.Event) error {
			select {
			case events <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	return events
}
