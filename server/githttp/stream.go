package githttp

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/pktline"
	"github.com/headwater-git/headwater/core/push"
	"github.com/headwater-git/headwater/core/serve"
	"github.com/headwater-git/headwater/server/middleware"
)

// maxFetchBody bounds the body of a fetch as it is on the wire. What is in it
// is bounded by the core, at less; this is for streams that unpack to nothing.
const maxFetchBody = 11 << 20

// advertiseFetch answers info/refs?service=git-upload-pack.
func (h *Handler) advertiseFetch(w http.ResponseWriter, r *http.Request, repo core.Repository, m remote) error {
	w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
	return h.o.Fetches.Advertise(r.Context(), repo, m.namespace, r.Header.Get("Git-Protocol"), w)
}

// uploadPack serves a fetch.
func (h *Handler) uploadPack(w *middleware.Exchange, r *http.Request, repo core.Repository, m remote) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxFetchBody)
	body, err := h.requestBody(w, r, h.o.FetchGrace)
	if err != nil {
		return err
	}
	err = h.o.Fetches.UploadPack(r.Context(), serve.Fetch{
		Repo: repo, Namespace: m.namespace, Caller: w.Identity.Caller(), Protocol: r.Header.Get("Git-Protocol"), Body: body,
		Out: func() io.Writer {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
			return h.withNotice(newStream(w), r, repo, w.Identity)
		},
	})
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return core.Errorf(core.KindTooLarge, "the request body is larger than %d bytes; fetch fewer refs at once", maxFetchBody)
	}
	return err
}

// maxUnread is how much of a push that is not taken is read from the wire, so that the
// client comes to the answer: it sends all of it first.
const maxUnread = 1 << 30

// inBand writes a failure into the answer of a POST of git and reports whether it did. Of
// a failed POST git shows the status alone, and of a push "Everything up-to-date" after
// it. It is for failures that pass by themselves, which come between two requests of one
// command: what is wrong with a repository or a token is said at the first one, whose
// text git shows.
func (h *Handler) inBand(w *middleware.Exchange, r *http.Request, status int, message string) bool {
	passing := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
	if !passing || r.Method != http.MethodPost || !strings.HasPrefix(r.UserAgent(), "git/") {
		return false
	}
	m, ok := parse(r)
	if !ok {
		return false
	}
	var packet []byte
	switch m.service {
	case "git-upload-pack":
		// Shown as "fatal: remote error: ...", in every version of the protocol.
		packet = pktline.Appendf(nil, "ERR %s", message)
	case "git-receive-pack":
		_, _ = io.Copy(io.Discard, io.LimitReader(middleware.NewPaced(w, r, h.o.PushGrace), maxUnread))
		// Shown as "remote: ...", and the push has failed. Every git that asks for
		// a report asks for bands, too, unless that was switched off in it.
		packet = pktline.AppendSideband(nil, pktline.BandFatal, []byte(message))
	default:
		return false
	}
	w.Header().Set("Content-Type", "application/x-"+m.service+"-result")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(packet)
	return true
}

// advertisePush answers info/refs?service=git-receive-pack. Clients decide on
// what they see here whether a push is a fast-forward, so it is made fresh.
func (h *Handler) advertisePush(w http.ResponseWriter, r *http.Request, repo core.Repository, m remote) error {
	if m.namespace == core.Default {
		h.o.Mirror.BeforePush(r.Context(), repo)
	}
	w.Header().Set("Content-Type", "application/x-git-receive-pack-advertisement")
	return h.o.Pushes.Advertise(r.Context(), repo, m.namespace, w)
}

// session returns the write session of a push, without its updates.
func session(x *middleware.Exchange, r *http.Request, repo core.Repository, m remote) push.Session {
	return push.Session{
		Repo: repo, Namespace: m.namespace, Source: core.SourcePush, Actor: x.Actor(r), Policy: x.Identity.Policy,
	}
}

// receivePack serves a push.
func (h *Handler) receivePack(w *middleware.Exchange, r *http.Request, repo core.Repository, m remote) error {
	body, err := h.requestBody(w, r, h.o.PushGrace)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
	// The answer (progress, messages) begins while the pack is still coming.
	if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
		h.log.Debug("full duplex is not available", "error", err)
	}
	return h.o.Pushes.ReceivePack(r.Context(), push.Receive{
		Session:  session(w, r, repo, m),
		Protocol: r.Header.Get("Git-Protocol"), Body: body, Out: newStream(w),
	})
}

// stream writes a response as it comes: every write is flushed, because git
// writes whole packets and a client waits for them.
type stream struct{ w *middleware.StallingWriter }

func newStream(w http.ResponseWriter) io.Writer {
	return &stream{middleware.NewStallingWriter(w)}
}

// Write writes and flushes within the stall limit.
func (s *stream) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, s.w.Flush()
}

// ReadFrom copies with a large buffer: io.Copy's own 32 KiB would cost twice
// the system calls of the pipe's 64 KiB.
func (s *stream) ReadFrom(r io.Reader) (int64, error) {
	buf := make([]byte, 128<<10)
	return io.CopyBuffer(struct{ io.Writer }{s}, r, buf)
}
