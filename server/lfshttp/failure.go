package lfshttp

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/server/middleware"
)

// failure is the body of an error.
type failure struct {
	Message          string `json:"message"`
	DocumentationURL string `json:"documentation_url,omitempty"`
	RequestID        string `json:"request_id,omitempty"`

	Lock *lockBody `json:"lock,omitempty"` // that is in the way
}

// status returns the status of an error, as git-lfs understands it: what it gets a 422
// for it does not try again.
func (h *Handler) status(err error) int {
	switch kind := core.KindOf(err); {
	case errors.Is(err, errMethod):
		return http.StatusMethodNotAllowed
	case errors.Is(err, errHash):
		return http.StatusConflict
	case errors.Is(err, middleware.ErrSlowBody):
		return http.StatusRequestTimeout
	case kind == core.KindInvalid, kind == core.KindPrecondition:
		return http.StatusUnprocessableEntity
	case kind == core.KindUpstreamUnavailable:
		return http.StatusServiceUnavailable
	default:
		return h.o.StatusOf(kind)
	}
}

// Message returns the text of an error, as git-lfs shows it to a person.
func Message(err error) string {
	if errors.Is(err, errMethod) || errors.Is(err, errHash) || errors.Is(err, middleware.ErrSlowBody) {
		return err.Error()
	}
	return core.PublicMessage(err)
}

// fail answers with an error. Once a body has begun, all that is left is to cut it off.
func (h *Handler) fail(x *middleware.Exchange, r *http.Request, err error) {
	if x.Began() {
		if r.Context().Err() == nil {
			h.log.Warn("lfs request failed in mid-answer", "request_id", x.ID, "error", hosterror.RedactError(err))
		}
		panic(http.ErrAbortHandler)
	}
	body := failure{Message: Message(err), RequestID: x.ID}
	status := h.status(err)
	if locked, ok := errors.AsType[*lfs.LockedError](err); ok {
		status, body.Message, body.Lock = http.StatusConflict, locked.Error(), new(viewLock(locked.Lock))
	}
	if status == http.StatusUnauthorized {
		x.Header().Set("LFS-Authenticate", `Basic realm="headwater", charset="UTF-8"`)
		x.Header().Set("WWW-Authenticate", `Basic realm="headwater", charset="UTF-8"`)
	}
	middleware.RetryAfterOf(x, err)
	if errors.Is(err, middleware.ErrSlowBody) {
		x.Header().Set("Connection", "close")
	}
	if status >= http.StatusInternalServerError && core.KindOf(err) == core.KindInternal {
		h.log.Error("lfs request failed", "request_id", x.ID, "error", hosterror.RedactError(err))
	}
	raw, merr := json.Marshal(body)
	if merr != nil {
		raw = []byte("{}")
	}
	x.Header().Set("Content-Type", mediaType)
	x.WriteHeader(status)
	_, _ = x.Write(append(raw, '\n'))
}
