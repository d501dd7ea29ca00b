package hosterror

import (
	"errors"
	"fmt"
	"time"

	"github.com/headwater-git/headwater/core"
)

// ErrStalled is the cause of a [*Error] that ended a host's silence.
var ErrStalled = errors.New("the host stopped sending")

// Error says why an upstream could not be asked.
type Error struct {
	Class core.ErrorClass
	// Status is the HTTP status of the answer; 0 if there was none or it was fine.
	Status int
	// HostText is the sentence worth showing: the host's own words if it sent
	// plain text, else ours. It is redacted, on one line and at most 500 bytes.
	HostText   string
	RetryAfter time.Duration // what the host asked for; 0: nothing
	Err        error         // cause, for logs; may be nil
}

// Error gives class, status and text.
func (e *Error) Error() string {
	if e.Status != 0 {
		return fmt.Sprintf("%s (HTTP %d): %s", e.Class, e.Status, e.HostText)
	}
	return fmt.Sprintf("%s: %s", e.Class, e.HostText)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
