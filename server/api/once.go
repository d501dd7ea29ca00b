package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/server/middleware"
)

// A call that writes may be sent with an Idempotency-Key (draft-ietf-httpapi-
// idempotency-key-header). Who does not know whether it was answered sends it again with
// the same key: what was done is not done twice, and the answer is the first one.
//
// The call is recorded before its work begins. What failed and changed nothing is
// forgotten, so that it can be tried again; what may have changed something and has no
// recorded answer, because the server stopped or the upstream did not say, is answered
// with just that.

const (
	idempotencyKey = "Idempotency-Key"
	// replayedHeader says that an answer is the one of an earlier request.
	replayedHeader = "Idempotent-Replayed"
	// maxIdempotencyKey is the longest key, in bytes.
	maxIdempotencyKey = 255
	// maxHeld is the largest answer that is kept; none of a write comes near it.
	maxHeld = 256 << 10
	// onceTimeout bounds how long a call waits for its record.
	onceTimeout = 10 * time.Second
)

// errKeyReused refuses a key that was sent with another request. Its answer is 422.
var errKeyReused = core.Errorf(core.KindInvalid, "this Idempotency-Key was sent with another request before; take a new key for a new request")

// onceEach reports whether calls of the operation take an Idempotency-Key: those that
// write and would write again. PUT, PATCH and DELETE do the same however often they come.
func (op operation) onceEach() bool { return op.method == http.MethodPost && op.audit.word != "" }

// underWay are the calls with a key that this process works on.
type underWay struct {
	mu  sync.Mutex
	ids map[string]bool
}

// add reports false if there is one of this id.
func (u *underWay) add(id string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ids[id] {
		return false
	}
	if u.ids == nil {
		u.ids = make(map[string]bool)
	}
	u.ids[id] = true
	return true
}

func (u *underWay) remove(id string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.ids, id)
}

// once serves an authorised call with do, or with the answer that the first call with its
// key had. Errors, but for those of do: KindInvalid for what is no key and for one of
// another request; KindConflict while the first call is under way, and where its outcome
// is not known.
func (s *server) once(c *call, op operation, do func() error) error {
	if !op.onceEach() || c.r.Header[idempotencyKey] == nil {
		return do()
	}
	key, err := parseIdempotencyKey(c.r.Header[idempotencyKey])
	if err != nil {
		return err
	}
	if s.Calls == nil {
		return core.Errorf(core.KindUnsupported, "this server remembers no Idempotency-Key; leave it out")
	}
	caller := "subject:" + c.identity.Subject
	if c.identity.Subject == "" {
		caller = "token:" + c.identity.TokenHash
	}
	id := digest(c.identity.Org, caller, op.id, key)
	if !s.underWay.add(id) {
		return &core.Error{Kind: core.KindConflict, RetryAfter: time.Second,
			Message: "the first request with this Idempotency-Key is still under way; send it again when it may be over"}
	}
	defer s.underWay.remove(id)
	body := &hashedBody{ReadCloser: c.r.Body, sum: sha256.New(), about: c.repo.ID}
	c.r.Body = body
	record := core.IdempotentCall{ID: id, Org: c.identity.Org, At: s.Clock.Now()}
	switch err := s.Calls.BeginIdempotentCall(c.ctx(), record); {
	case core.KindOf(err) == core.KindConflict:
		return s.replay(c, id, body)
	case err != nil:
		return err
	}
	held := &heldAnswer{ResponseWriter: c.w.ResponseWriter}
	err = func() error {
		c.w.ResponseWriter = held
		defer func() { c.w.ResponseWriter = held.ResponseWriter }()
		return do()
	}()
	// Also of a client that has left.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx()), onceTimeout)
	defer cancel()
	switch {
	case err == nil && held.status/100 == 2:
		// What a decoder has left of the body counts for the fingerprint, too.
		_, _ = io.CopyN(io.Discard, body, maxBody)
		record.Fingerprint, record.Status, record.Answer = c.fingerprint(body), held.status, providers.Secret(held.text.String())
		if err := s.Calls.FinishIdempotentCall(ctx, record); err != nil {
			// Done all the same: who sends it again learns that nobody knows.
			s.Logger.Error("the answer to a call with an Idempotency-Key could not be recorded", "org", record.Org, "operation", op.id, "error", err)
		}
	case err == nil || changedNothing(err):
		if err := s.Calls.ForgetIdempotentCall(ctx, id); err != nil {
			s.Logger.Error("a call with an Idempotency-Key could not be forgotten", "org", record.Org, "operation", op.id, "error", err)
		}
	}
	held.release()
	return err
}

// replay answers with what the first call was answered with.
func (s *server) replay(c *call, id string, body *hashedBody) error {
	first, err := s.Calls.IdempotentCall(c.ctx(), id)
	if core.KindOf(err) == core.KindNotFound && err != nil {
		return &core.Error{Kind: core.KindConflict, RetryAfter: time.Second, Message: "the first request with this Idempotency-Key has just been forgotten; send it again"}
	}
	if err != nil {
		return err
	}
	if first.Status == 0 {
		return core.Errorf(core.KindConflict, "what became of the first request with this Idempotency-Key, at %s, is not known: look whether it took effect, and take a new key to send it again",
			first.At.UTC().Format(time.RFC3339))
	}
	if _, err := io.Copy(io.Discard, middleware.NewPaced(c.w, c.r, c.grace)); err != nil {
		return middleware.BodyError(err)
	}
	if c.fingerprint(body) != first.Fingerprint {
		return errKeyReused
	}
	header := c.w.Header()
	header.Set(replayedHeader, "true")
	c.audited.Store(true) // the first call was
	jsonHeader(header)
	if first.Answer == "" {
		header.Del("Content-Type")
	}
	c.w.WriteHeader(first.Status)
	// A failed write means that the client is gone.
	_, _ = io.WriteString(c.w, first.Answer.Reveal())
	return nil
}

// changedNothing reports whether after an error everything is as it was before the call,
// as the reference promises of all but these.
func changedNothing(err error) bool {
	if errors.Is(err, middleware.ErrSlowBody) {
		return true
	}
	switch core.KindOf(err) {
	case core.KindInternal, core.KindTimeout, core.KindUpstreamTimeout:
		return false
	}
	return true
}

// parseIdempotencyKey reads the key: a string as RFC 9651 has it, in quotes, or the bare
// text that many clients send.
func parseIdempotencyKey(lines []string) (string, error) {
	key := strings.TrimSpace(lines[0])
	if inner, ok := strings.CutPrefix(key, `"`); ok {
		inner, ok = strings.CutSuffix(inner, `"`)
		if plain := strings.NewReplacer(`\\`, "", `\"`, "").Replace(inner); !ok || strings.ContainsAny(plain, `"\`) {
			key = ""
		} else {
			key = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(inner)
		}
	}
	visible := !strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' })
	if len(lines) != 1 || key == "" || len(key) > maxIdempotencyKey || !visible {
		return "", core.Errorf(core.KindInvalid, "the header %s must be one text of 1 to %d visible characters of ASCII; a new UUID for each request is one",
			idempotencyKey, maxIdempotencyKey)
	}
	return key, nil
}

// fingerprint tells one request from another: where it goes, for which repository, and
// the bytes of its body.
func (c *call) fingerprint(body *hashedBody) string {
	return digest(c.r.Method, c.r.URL.EscapedPath(), c.r.URL.RawQuery, c.identity.Repo, body.about, hex.EncodeToString(body.sum.Sum(nil)))
}

// digest is a hash of several texts that no other texts have.
func digest(parts ...string) string {
	sum := sha256.New()
	for _, part := range parts {
		_, _ = fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// hashedBody is the body of a request, of which the hash is taken as it is read.
type hashedBody struct {
	io.ReadCloser
	sum   hash.Hash
	about string // id of the repository that the request names, if that exists beforehand
}

// Read implements [io.Reader].
func (b *hashedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	_, _ = b.sum.Write(p[:n]) // never fails
	return n, err
}

// heldAnswer holds an answer back until it is recorded.
type heldAnswer struct {
	http.ResponseWriter
	status int
	text   bytes.Buffer
}

// Unwrap is for [http.ResponseController].
func (h *heldAnswer) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// WriteHeader notes the status.
func (h *heldAnswer) WriteHeader(status int) {
	if status < http.StatusOK {
		h.ResponseWriter.WriteHeader(status)
		return
	}
	if h.status == 0 {
		h.status = status
	}
}

// Write holds what it is given. Errors: more than maxHeld.
func (h *heldAnswer) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	if h.text.Len()+len(p) > maxHeld {
		return 0, fmt.Errorf("an answer of more than %d bytes cannot be kept", maxHeld)
	}
	return h.text.Write(p)
}

// release sends what is held, if anything is.
func (h *heldAnswer) release() {
	if h.status == 0 {
		return
	}
	h.ResponseWriter.WriteHeader(h.status)
	// A failed write means that the client is gone.
	_, _ = h.ResponseWriter.Write(h.text.Bytes())
}
