package inbound

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/inbound"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/server/middleware"
)

const prefix = "/webhooks/"

// DefaultMaxBody is GitHub's largest webhook, which no other host's exceeds.
const DefaultMaxBody = 25 << 20

const (
	// readTimeout is how long a sender may take for its body.
	readTimeout = 10 * time.Second
	// waitTimeout is how long a request waits for its turn. Hosts give up after
	// about ten seconds.
	waitTimeout = 4 * time.Second
	// perSender and perAddress bound what is at a plugin at a time. A call takes
	// about a millisecond, so that a storm of thousands is through in seconds.
	perSender  = 8
	perAddress = 8
	// maxReply bounds the literal answer of a plugin.
	maxReply = 64 << 10
)

// Receiver is what this package needs of core/inbound.
type Receiver interface {
	Find(ctx context.Context, provider, token string) (*inbound.Address, error)
	Receive(ctx context.Context, a *inbound.Address, r providers.WebhookRequest) (inbound.Answer, error)
}

// Options configures [New]. Receiver is required.
type Options struct {
	Receiver Receiver
	Logger   hclog.Logger // nil: nothing is logged
	MaxBody  int64        // bytes of one body; 0 is [DefaultMaxBody]
	Measure  middleware.Measure
}

// Handler serves inbound webhooks.
type Handler struct {
	receiver  Receiver
	log       hclog.Logger
	stack     middleware.Stack
	maxBody   int64
	memory    *memory
	senders   *turns
	addresses *turns
}

// New returns the handler. Give it the requests for which [Match] is true.
func New(o Options) *Handler {
	if o.Logger == nil {
		o.Logger = hclog.NewNullLogger()
	}
	if o.MaxBody == 0 {
		o.MaxBody = DefaultMaxBody
	}
	h := &Handler{
		receiver: o.Receiver, log: o.Logger.Named("webhooks"), maxBody: o.MaxBody, memory: newMemory(maxMemory),
		senders: newTurns(perSender), addresses: newTurns(perAddress),
	}
	h.stack = middleware.Stack{
		Log:      middleware.AccessLog{Now: core.SystemClock{}.Now, Line: h.logLine},
		Recovery: middleware.Recovery{Logger: h.log},
		Errors:   middleware.Errors{Answer: answerError},
		Measure:  o.Measure,
	}
	return h
}

// Match reports whether the request is for a webhook address.
func Match(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, prefix) }

// refusal is the error of a request that is not taken. Its text is all that the
// sender learns.
type refusal struct {
	status     int
	text       string
	retryAfter time.Duration
	err        error // for the log; nil: nothing worth it
}

// Error implements error.
func (no *refusal) Error() string { return no.text }

// busy refuses what came with too much else.
func busy() *refusal {
	return &refusal{status: http.StatusServiceUnavailable, text: "too many webhooks at once; send it again", retryAfter: 5 * time.Second}
}

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	h.stack.Serve(w, r, func(x *middleware.Exchange, r *http.Request) error {
		x.Route = prefix // not the path: it may hold a token
		return h.serve(x, r)
	})
}

// answerError is the [middleware.Errors] of this package.
func answerError(x *middleware.Exchange, _ *http.Request, err error) {
	no := refuse(err)
	middleware.RetryAfter(x, no.retryAfter)
	if no.status == http.StatusMethodNotAllowed {
		x.Header().Set("Allow", http.MethodPost)
	}
	http.Error(x, no.text, no.status)
}

// logLine is the [middleware.AccessLog] of this package: of refusals that the
// operator or the sender's owner may want to know the cause of.
func (h *Handler) logLine(x *middleware.Exchange, r *http.Request, _ time.Duration) {
	if x.Err == nil {
		return
	}
	no := refuse(x.Err)
	if no.err == nil {
		return
	}
	level := hclog.Debug
	if no.status >= http.StatusInternalServerError {
		level = hclog.Error
	}
	// Not the path: it may hold a token.
	h.log.Log(level, "inbound webhook not taken", "status", no.status, "sender", sender(r), "error", no.err)
}

// serve takes one webhook and answers it. It has given its turns back by then: a
// sender that reads slowly must not keep others waiting.
func (h *Handler) serve(x *middleware.Exchange, r *http.Request) error {
	answer, err := h.take(x, r)
	if err != nil {
		return err
	}
	reply(x, answer)
	return nil
}

// take takes one webhook. Its errors are those that [refuse] reads.
func (h *Handler) take(x *middleware.Exchange, r *http.Request) (inbound.Answer, error) {
	var none inbound.Answer
	provider, token, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, prefix), "/")
	switch {
	case provider == "" || strings.Contains(token, "/") || strings.HasSuffix(r.URL.Path, "/"):
		return none, core.Errorf(core.KindNotFound, "there is no webhook at this address")
	case r.Method != http.MethodPost:
		return none, &refusal{status: http.StatusMethodNotAllowed, text: "webhooks are sent with POST"}
	case r.Header.Get("Content-Encoding") != "" && !strings.EqualFold(r.Header.Get("Content-Encoding"), "identity"):
		// The signature is over the bytes as sent, and a small body could
		// become a large one.
		return none, &refusal{status: http.StatusUnsupportedMediaType, text: "send the webhook without content encoding"}
	}
	a, err := h.receiver.Find(r.Context(), provider, token)
	if err != nil {
		return none, err
	}
	body, err := h.read(x, r)
	if err != nil {
		return none, err
	}
	defer body.release()
	ctx, cancel := context.WithTimeout(r.Context(), waitTimeout)
	defer cancel()
	// The sender's turn comes first, so that one sender does not take the turns
	// of an address only to wait for its own.
	if !h.senders.take(ctx, sender(r)) {
		return none, busy()
	}
	defer h.senders.give(sender(r))
	if !h.addresses.take(ctx, a.Key()) {
		return none, busy()
	}
	defer h.addresses.give(a.Key())
	return h.receiver.Receive(r.Context(), a, providers.WebhookRequest{
		// Without the token: plugins may log what they are asked.
		Method: r.Method, Path: prefix + provider, Query: r.URL.RawQuery, Header: a.Header(r.Header), Body: body.bytes,
	})
}

// read reads the body, within the caps of one and of all.
func (h *Handler) read(x *middleware.Exchange, r *http.Request) (*body, error) {
	tooLarge := &refusal{status: http.StatusRequestEntityTooLarge, text: "the webhook is larger than " + strconv.FormatInt(h.maxBody>>20, 10) + " MiB"}
	if r.ContentLength > h.maxBody {
		return nil, tooLarge
	}
	// Not every writer can; then the server's own time-outs have to do.
	control := http.NewResponseController(x)
	_ = control.SetReadDeadline(middleware.SocketTime().Add(readTimeout))
	ctx, cancel := context.WithTimeout(r.Context(), readTimeout)
	defer cancel()
	// The writer of net/http itself, which closes the connection after a body that
	// is too large.
	b, err := h.memory.read(ctx, http.MaxBytesReader(x.Unwrap(), r.Body, h.maxBody))
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return nil, tooLarge
	case errors.Is(err, errFull):
		return nil, busy()
	case err != nil:
		return nil, &refusal{status: http.StatusBadRequest, text: "the body did not arrive"}
	}
	_ = control.SetReadDeadline(time.Time{})
	return b, nil
}

// sender is the address that a request comes from.
func sender(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// refuse returns an error as a refusal, with the status of its kind. Senders are
// strangers until their signature is verified, so the text is the message of a
// core error or nothing.
func refuse(err error) *refusal {
	if no, ok := errors.AsType[*refusal](err); ok {
		return no
	}
	e, ok := errors.AsType[*core.Error](err)
	if !ok {
		return &refusal{status: http.StatusInternalServerError, text: "internal error", err: err}
	}
	no := &refusal{text: core.MessageOf(err), retryAfter: e.RetryAfter, err: err}
	switch e.Kind {
	case core.KindUnauthenticated:
		no.status = http.StatusUnauthorized
	case core.KindPrecondition:
		no.status = http.StatusPreconditionFailed
	case core.KindNotFound:
		no.status, no.err = http.StatusNotFound, nil
	case core.KindInvalid:
		no.status = http.StatusBadRequest
	case core.KindUpstreamUnavailable:
		no.status, no.text = http.StatusServiceUnavailable, "the webhook cannot be taken now; send it again"
	default:
		no.status, no.text = http.StatusInternalServerError, "internal error"
	}
	return no
}

// reply answers a webhook that was taken: with the literal answer that the
// plugin has for a challenge, or with 202, because what follows has only begun.
func reply(w http.ResponseWriter, a inbound.Answer) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if a.Status < http.StatusOK || a.Status > 499 || a.Status >= 300 && a.Status < 400 {
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, "accepted\n")
		return
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body[:min(len(a.Body), maxReply)])
}
