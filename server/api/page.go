package api

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// Items of a page.
const (
	defaultLimit = 20
	maxLimit     = 100
)

// A listing is what a cursor belongs to; its name tells its cursors from those
// of others, and from text that happens to be base64.
type listing string

const (
	repositoryListing listing = "repos:"
	runListing        listing = "runs:"
	auditListing      listing = "audit:"
	deliveryListing   listing = "deliveries:"
	rewriteListing    listing = "rewrites:"
	revocationListing listing = "revocations:"
	pendingLFSListing listing = "lfs:"
	sortedListing     listing = "sorted:" // repositories in another order than newest first
)

// page is the part of a listing, newest first, that a request asks for.
type page struct {
	listing listing
	before  string // id of the last item of the page before; "" for the first page
	size    int
}

// pageFields are the end of an answer that may go on.
type pageFields struct {
	NextCursor string `json:"next_cursor,omitempty"`
	HasMore    bool   `json:"has_more"`
}

// page reads cursor and limit of a listing. Errors: KindInvalid.
func (q params) page(l listing) (page, error) {
	size, err := q.limit(defaultLimit, maxLimit)
	if err != nil {
		return page{}, err
	}
	before, err := l.open(q.Get("cursor"))
	return page{l, before, size}, err
}

// limit reads a limit; one that is out of range is brought into it.
func (q params) limit(absent, top int) (int, error) {
	text := q.Get("limit")
	if text == "" {
		return absent, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, core.Errorf(core.KindInvalid, `the parameter "limit" must be a number`)
	}
	return min(max(limit, 1), top), nil
}

// fetch is how many items to ask the store for: one more tells whether there is
// more.
func (p page) fetch() int { return p.size + 1 }

// cut leaves of what was fetched what the page shows, and says how to go on.
func cut[T any](p page, all []T, id func(T) string) ([]T, pageFields) {
	if len(all) <= p.size {
		return all, pageFields{}
	}
	return all[:p.size], pageFields{HasMore: true, NextCursor: p.listing.seal(id(all[p.size-1]))}
}

// seal writes a cursor.
func (l listing) seal(id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(string(l) + id))
}

// open reads one, "" for none. Errors: KindInvalid.
func (l listing) open(cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	id, ok := strings.CutPrefix(string(text), string(l))
	if err != nil || !ok || id == "" {
		return "", core.Errorf(core.KindInvalid, `the parameter "cursor" is not one that this listing gave`)
	}
	return id, nil
}
