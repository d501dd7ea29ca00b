package main

import (
	"context"
	"encoding/json"
	"math"
	"net/url"
	"strconv"
)

const (
	// pageSize is how many items of a listing are asked for at once.
	pageSize = 100
	// noLimit asks for all items of a listing.
	noLimit = math.MaxInt
)

// pageAnswer is one page of a listing whose items are in a field.
type pageAnswer[T any] struct {
	field string
	items []T
	next  string // the cursor, "" at the end
}

// UnmarshalJSON implements [json.Unmarshaler].
func (p *pageAnswer[T]) UnmarshalJSON(raw []byte) error {
	var end struct {
		NextCursor string `json:"next_cursor"`
		HasMore    bool   `json:"has_more"`
	}
	if err := json.Unmarshal(raw, &end); err != nil {
		return err
	}
	if end.HasMore {
		p.next = end.NextCursor
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return err
	}
	if fields[p.field] == nil {
		return nil
	}
	return json.Unmarshal(fields[p.field], &p.items)
}

// pages hands out the items of a listing in the order of the server, at most
// limit of them, and asks for them page by page. They are in the named field of
// the answers.
func pages[T any](ctx context.Context, c *client, call apiCall, field string, limit int, each func(T) error) error {
	if call.query == nil {
		call.query = url.Values{}
	}
	for left := limit; left > 0; {
		call.query.Set("limit", strconv.Itoa(min(left, pageSize)))
		page := pageAnswer[T]{field: field}
		if err := c.do(ctx, call, &page); err != nil {
			return err
		}
		for _, item := range page.items {
			if err := each(item); err != nil {
				return err
			}
		}
		left -= len(page.items)
		if page.next == "" || len(page.items) == 0 {
			return nil
		}
		call.query.Set("cursor", page.next)
	}
	return nil
}
