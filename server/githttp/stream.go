package githttp

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/push"
)

// How long one write to a client, and one read of its body, may take. They
// replace time-outs of the whole exchange, which may rightly last for hours.
const (
	writeStall = 5 * time.Minute
	readStall  = 5 * time.Minute
)

// unstalled is a request body whose every read has a deadline. A client that
// is half gone would hold a git process for ever otherwise.
type unstalled struct {
	body io.Reader
	c    *http.ResponseController
}

// Read reads within the stall limit. At the end of the body the limit is
// lifted: the connection lives on while the answer is made.
func (u *unstalled) Read(p []byte) (int, error) {
	if err := u.c.SetReadDeadline(time.Now().Add(readStall)); err != nil {
		return 0, fmt.Errorf("set read deadline: %w", err)
	}
	n, err := u.body.Read(p)
	if err != nil {
		if cerr := u.c.SetReadDeadline(time.Time{}); cerr != nil && err == io.EOF { //nolint:errorlint // readers return io.EOF itself
			return n, fmt.Errorf("clear read deadline: %w", cerr)
		}
	}
	return n, err
}

// uploadConfig is the configuration of git upload-pack.
func uploadConfig(ns core.Namespace) []git.Config {
	cfg := []git.Config{
		git.Set("transfer.hideRefs", "^refs/internal"),
		// Partial clones, and the later fetch of single objects that they need.
		git.Set("uploadpack.allowFilter", "true"),
		git.Set("uploadpack.allowAnySHA1InWant", "true"),
	}
	if ns == core.Default {
		cfg = append(cfg, git.Set("transfer.hideRefs", "^refs/namespaces"))
	}
	return cfg
}

// advertiseFetch answers info/refs?service=git-upload-pack.
func (h *Handler) advertiseFetch(w http.ResponseWriter, r *http.Request, repo core.Repository, m remote) error {
	w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
	c := git.Command{
		Name: "upload-pack", Dir: h.o.Engine.Path(repo.ID), Config: uploadConfig(m.namespace), Env: git.NamespaceEnv(m.namespace),
		Flags: []string{"--stateless-rpc", "--http-backend-info-refs"}, Args: []string{"."},
	}
	if r.Header.Get("Git-Protocol") == "version=2" {
		body, err := h.v2Capabilities(r, repo.ObjectFormat, c)
		if err != nil {
			return err
		}
		_, err = w.Write(body)
		return err
	}
	c.Env = append(c.Env, git.ProtocolEnv(r.Header.Get("Git-Protocol"))...)
	if _, err := w.Write(append(git.AppendPktf(nil, "# service=git-upload-pack\n"), git.FlushPkt...)); err != nil {
		return err
	}
	c.Stdout = w
	return h.o.Engine.Git().Run(r.Context(), c)
}

// v2Capabilities returns the protocol v2 advertisement, which tells nothing of
// the repository but its object format.
func (h *Handler) v2Capabilities(r *http.Request, format string, c git.Command) ([]byte, error) {
	h.mu.Lock()
	body := h.capabilities[format]
	h.mu.Unlock()
	if body != nil {
		return body, nil
	}
	var out bytes.Buffer
	c.Env = append(c.Env, "GIT_PROTOCOL=version=2")
	c.Stdout = &out
	if err := h.o.Engine.Git().Run(r.Context(), c); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.capabilities[format] = out.Bytes()
	return out.Bytes(), nil
}

// uploadPack serves a fetch.
func (h *Handler) uploadPack(w http.ResponseWriter, r *http.Request, repo core.Repository, m remote, id access.Identity) error {
	body, err := requestBody(w, r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-git-upload-pack-result")
	out := h.withNotice(newStream(w), r, repo, id)
	return h.o.Engine.Git().Run(r.Context(), git.Command{
		Name: "upload-pack", Dir: h.o.Engine.Path(repo.ID), Config: uploadConfig(m.namespace),
		Env:   append(git.NamespaceEnv(m.namespace), git.ProtocolEnv(r.Header.Get("Git-Protocol"))...),
		Flags: []string{"--stateless-rpc"}, Args: []string{"."},
		Stdin: body, Stdout: out,
	})
}

// advertisePush answers info/refs?service=git-receive-pack. Clients decide on
// what they see here whether a push is a fast-forward, so it is made fresh.
func (h *Handler) advertisePush(w http.ResponseWriter, r *http.Request, repo core.Repository, m remote) error {
	if m.namespace == core.Default {
		h.o.Engine.Fresh(r.Context(), repo)
	}
	w.Header().Set("Content-Type", "application/x-git-receive-pack-advertisement")
	return h.o.Engine.Push().Advertise(r.Context(), repo, m.namespace, w)
}

// session returns the write session of a push, without its updates.
func session(r *http.Request, repo core.Repository, m remote, id access.Identity) push.Session {
	return push.Session{
		Repo: repo, Namespace: m.namespace, Source: core.SourcePush, Actor: id.Actor().From(r.RemoteAddr, r.UserAgent()), Policy: id.Policy,
	}
}

// receivePack serves a push.
func (h *Handler) receivePack(w http.ResponseWriter, r *http.Request, repo core.Repository, m remote, id access.Identity) error {
	body, err := requestBody(w, r)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-git-receive-pack-result")
	// The answer (progress, messages) begins while the pack is still coming.
	if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
		h.log.Debug("full duplex is not available", "error", err)
	}
	return h.o.Engine.Push().ReceivePack(r.Context(), push.Receive{
		Session:  session(r, repo, m, id),
		Protocol: r.Header.Get("Git-Protocol"), Body: body, Out: newStream(w),
	})
}

// stream writes a response as it comes: every write is flushed, because git
// writes whole packets and a client waits for them.
type stream struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func newStream(w http.ResponseWriter) io.Writer {
	return &stream{w: w, c: http.NewResponseController(w)}
}

// Write writes and flushes within the stall limit.
func (s *stream) Write(p []byte) (int, error) {
	if err := s.c.SetWriteDeadline(time.Now().Add(writeStall)); err != nil {
		return 0, fmt.Errorf("set write deadline: %w", err)
	}
	n, err := s.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, s.c.Flush()
}

// ReadFrom copies with a large buffer: io.Copy's own 32 KiB would cost twice
// the system calls of the pipe's 64 KiB.
func (s *stream) ReadFrom(r io.Reader) (int64, error) {
	buf := make([]byte, 128<<10)
	return io.CopyBuffer(struct{ io.Writer }{s}, r, buf)
}

// recorder notes status and size for the log.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
	wrote  bool
}

// WriteHeader notes the status.
func (r *recorder) WriteHeader(status int) {
	r.status, r.wrote = status, true
	r.ResponseWriter.WriteHeader(status)
}

// Write notes the size.
func (r *recorder) Write(p []byte) (int, error) {
	r.wrote = true
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets [http.ResponseController] reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
