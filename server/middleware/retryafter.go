package middleware

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/headwater-git/headwater/core"
)

// RetryAfter says in the header Retry-After when to come again, in whole seconds and not
// too early. A time that is not positive says nothing.
func RetryAfter(w http.ResponseWriter, after time.Duration) {
	if after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
	}
}

// RetryAfterOf is [RetryAfter] with the time that an error knows, if it does.
func RetryAfterOf(w http.ResponseWriter, err error) {
	if e, ok := errors.AsType[*core.Error](err); ok {
		RetryAfter(w, e.RetryAfter)
	}
}
