package middleware

import (
	"net/http"
	"time"

	"github.com/headwater-git/headwater/core/limit"
)

// smallBody is the largest body, in bytes, that is held in memory without a place: about
// what a connection costs anyway.
const smallBody = 16 << 10

// What a client may still send of a body that is refused unread, and for how long.
const (
	discardBytes  = 16 << 20
	discardWithin = 5 * time.Second
)

// HoldBody waits until the request may hold its body in memory. It must be called before
// the body is read; repository is the internal id, "" for none. The place is given back
// when the request ends. Errors: those of [limit.Hold], and then the body is gone.
func HoldBody(w http.ResponseWriter, r *http.Request, repository string) error {
	if r.ContentLength >= 0 && r.ContentLength <= smallBody {
		return nil
	}
	err := limit.Hold(r.Context(), repository)
	if err != nil {
		DiscardBody(w, r)
	}
	return err
}

// DiscardBody takes what comes of a refused body off the wire, within bounds: the client
// would else see a broken connection instead of the answer.
func DiscardBody(w http.ResponseWriter, r *http.Request) {
	NewPaced(w, r, BodyGrace).Discard(discardBytes, discardWithin)
}
