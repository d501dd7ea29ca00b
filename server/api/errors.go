package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server/middleware"
)

const (
	// syncingText is what published clients know of a first sync that runs.
	syncingText = "repository sync in progress. please retry shortly"
	// syncingRetry is when to ask again if nobody knows better.
	syncingRetry = 5 * time.Second
)

// statuses is the one table from kinds of failure to HTTP.
var statuses = map[core.Kind]int{
	core.KindInvalid:             http.StatusBadRequest,
	core.KindUnauthenticated:     http.StatusUnauthorized,
	core.KindPermission:          http.StatusForbidden,
	core.KindNotFound:            http.StatusNotFound,
	core.KindConflict:            http.StatusConflict,
	core.KindSyncing:             http.StatusConflict,
	core.KindPrecondition:        http.StatusPreconditionFailed,
	core.KindStale:               http.StatusConflict,
	core.KindTooLarge:            http.StatusRequestEntityTooLarge,
	core.KindUnsupported:         http.StatusNotImplemented,
	core.KindUpstreamRejected:    http.StatusUnprocessableEntity,
	core.KindLocked:              http.StatusLocked,
	core.KindRateLimited:         http.StatusTooManyRequests,
	core.KindUpstreamUnavailable: http.StatusBadGateway,
	core.KindUpstreamTimeout:     http.StatusGatewayTimeout,
	core.KindTimeout:             http.StatusGatewayTimeout,
	core.KindNotFresh:            http.StatusServiceUnavailable,
	core.KindResource:            http.StatusServiceUnavailable,
	core.KindRebuilding:          http.StatusServiceUnavailable,
	core.KindDamaged:             http.StatusServiceUnavailable,
	core.KindReadOnly:            http.StatusServiceUnavailable,
	core.KindInternal:            http.StatusInternalServerError,
}

// StatusOf returns the HTTP status of a kind; 500 for one that is unknown.
func StatusOf(kind core.Kind) int {
	if status, ok := statuses[kind]; ok {
		return status
	}
	return http.StatusInternalServerError
}

// errorBody is what an error looks like: the envelope {"error"} of the SDKs
// and the problem details of RFC 9457 in one. Code is stable, the texts are not.
type errorBody struct {
	Error  string    `json:"error"`
	Status int       `json:"status"`
	Title  string    `json:"title"`
	Type   string    `json:"type"`
	Detail string    `json:"detail"`
	Code   core.Kind `json:"code"`
}

// WriteError answers with an error. The status comes from [StatusOf], the text
// from [core.MessageOf], so an error of no kind is a 500 that tells nothing of
// its cause: who calls must log it. It sets Retry-After when the error knows
// it, and a Bearer challenge on 401 unless the caller set another one.
func WriteError(w http.ResponseWriter, _ *http.Request, err error) {
	kind := core.KindOf(err)
	text := core.PublicMessage(err)
	var retry time.Duration
	if e, ok := errors.AsType[*core.Error](err); ok {
		retry = e.RetryAfter
	}
	switch kind {
	case core.KindSyncing:
		text = syncingText
		if retry <= 0 {
			retry = syncingRetry
		}
	case core.KindUnauthenticated:
		if w.Header().Get("WWW-Authenticate") == "" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="headwater"`)
		}
	}
	middleware.RetryAfter(w, retry)
	body := envelope(StatusOf(kind), kind, text)
	switch {
	case errors.Is(err, middleware.ErrSlowBody):
		body.Status, body.Title = http.StatusRequestTimeout, http.StatusText(http.StatusRequestTimeout)
		w.Header().Set("Connection", "close")
	case errors.Is(err, errKeyReused):
		body.Status, body.Title = http.StatusUnprocessableEntity, http.StatusText(http.StatusUnprocessableEntity)
	case errors.Is(err, errBodyCoding):
		body.Status, body.Title = http.StatusUnsupportedMediaType, http.StatusText(http.StatusUnsupportedMediaType)
	}
	if own, ok := errors.AsType[shaped](err); ok {
		status, around := own.shape(body)
		writeJSON(w, status, around)
		return
	}
	writeJSON(w, body.Status, body)
}

// shaped is an error whose answer has more in it than the envelope.
type shaped interface {
	error
	// shape returns the status and the answer, with the envelope in it.
	shape(body errorBody) (status int, answer any)
}

// envelope is the answer to most errors.
func envelope(status int, code core.Kind, text string) errorBody {
	return errorBody{Error: text, Status: status, Title: http.StatusText(status), Type: "about:blank", Detail: text, Code: code}
}

// writeStatusError answers with an error whose status no kind has.
func writeStatusError(w http.ResponseWriter, status int, code core.Kind, text string) {
	writeJSON(w, status, envelope(status, code, text))
}
