package push

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/pktline"
	"github.com/headwater-git/headwater/core/limit"
)

// Receive is one git push over smart HTTP: the session without its updates,
// which the body holds.
type Receive struct {
	Session
	Protocol string    // the client's Git-Protocol header
	Body     io.Reader // of the git-receive-pack request, decompressed
	Out      io.Writer // of the response
}

// config returns the configuration of git receive-pack, but for the checks of objects,
// of which there are none in an advertisement.
func (s *Service) config(ns core.Namespace) []git.Config {
	cfg := []git.Config{
		git.Set("core.hooksPath", s.hooks),
		// Every ref is decided by the hook, also one that is local only: in a
		// mixed atomic push git itself could fail after the upstream accepted.
		git.Set("receive.procReceiveRefs", "refs"),
		git.Set("receive.advertisePushOptions", "true"),
		git.Set("receive.advertiseAtomic", "true"),
		git.Set("receive.autogc", "false"),
		// "^" matches the name before the namespace is stripped, so the
		// ephemeral remote does not advertise them as .have either.
		git.Set("transfer.hideRefs", "^refs/internal"),
	}
	if ns == core.Default {
		cfg = append(cfg, git.Set("transfer.hideRefs", "^refs/namespaces"))
	}
	if s.o.MaxInputSize > 0 {
		cfg = append(cfg, git.Set("receive.maxInputSize", strconv.FormatInt(s.o.MaxInputSize, 10)))
	}
	return cfg
}

// Advertise writes the ref advertisement for a push: the body of
// info/refs?service=git-receive-pack.
func (s *Service) Advertise(ctx context.Context, r core.Repository, ns core.Namespace, out io.Writer) error {
	if err := limit.Take(ctx, r.ID); err != nil {
		return err
	}
	return s.git.Run(ctx, git.Command{
		Name: "receive-pack", Dir: s.repos.Path(r.ID), Env: git.NamespaceEnv(ns), Config: s.config(ns),
		Flags: []string{"--stateless-rpc", "--http-backend-info-refs"}, Args: []string{"."}, Stdout: pktline.NewServiceWriter(out, "git-receive-pack"),
	})
}

// ReceivePack serves one push from body to response. Results travel in the
// protocol; an error means that no complete answer was written.
func (s *Service) ReceivePack(ctx context.Context, r Receive) error {
	body := bufio.NewReaderSize(r.Body, 64<<10)
	head, err := pktline.ParseReceiveCommands(pktline.NewReader(body))
	if err != nil {
		return err
	}
	if len(head.Updates) == 0 && !head.Signed {
		return nil // git's probe before a large push: an empty request
	}
	if err := sameFormat(head, r.Repo.ObjectFormat); err != nil {
		return err
	}
	if head.Signed {
		// The updates are within the certificate, where nobody has checked them.
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
		s.log.Info("signed push refused", "repo_id", r.Repo.ID, "actor", r.Actor.Subject)
		s.Refused(ctx, r.Session, core.Errorf(core.KindUnsupported, reasonSigned))
		_, err := r.Out.Write(head.AppendReport(nil, reasonSigned, nil))
		return err
	}
	c, err := s.constraints(ctx, r.Repo)
	if err != nil {
		return err
	}
	r.Updates, r.Atomic = head.Updates, head.Atomic()
	if b, all := r.refusedAll(c); all {
		// Nothing can come of it: take the pack off the wire, and store nothing.
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
		s.log.Info("push refused before storing it", "repo_id", r.Repo.ID, "actor", r.Actor.Subject, "refs", len(r.Updates))
		s.audit(ctx, r.Session, s.entry(b, nil))
		_, err := r.Out.Write(head.AppendReport(nil, "ok", reports(b.list)))
		return err
	}
	if err := limit.Take(ctx, r.Repo.ID); err != nil {
		s.log.Info("push refused, too many requests run already", "repo_id", r.Repo.ID, "actor", r.Actor.Subject)
		return s.notUnpacked(ctx, r, head, err)
	}
	if err := s.room(ctx, r); err != nil {
		// Before anything is stored.
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
		s.log.Info("push refused, there is no room for it", "repo_id", r.Repo.ID, "actor", r.Actor.Subject)
		return s.notUnpacked(ctx, r, head, err)
	}
	tolerated, err := s.repos.Tolerated(ctx, r.Repo.ID)
	if err != nil {
		return err
	}
	config := append(s.config(r.Namespace), s.git.FsckConfig("receive", tolerated)...)
	// Until the refs have moved nothing leads to what arrives.
	ctx, done, err := s.repos.Writing(ctx, r.Repo.ID)
	if err != nil {
		return err
	}
	defer done()
	var refusal *refusalWriter
	if head.Has("side-band-64k") {
		refusal = &refusalWriter{w: r.Out, dir: s.repos.Path(r.Repo.ID), name: r.Repo.Name}
		r.Out = refusal
	}
	err = s.receive(ctx, r, config, io.MultiReader(bytes.NewReader(head.Raw), body))
	if refusal != nil && refusal.refusal != nil {
		s.log.Info("push refused, git's check of an object failed", "repo_id", r.Repo.ID, "actor", r.Actor.Subject, "check", refusal.refusal.ID, "object", refusal.refusal.Object)
		s.Refused(ctx, r.Session, core.Errorf(core.KindInvalid, "%s", refusal.refusal.Sentence()))
	} else if refusal != nil && refusal.short != "" {
		s.log.Error("push failed, the machine ran out of something", "repo_id", r.Repo.ID, "folder", refusal.dir, "reason", refusal.short)
		s.Refused(ctx, r.Session, core.Errorf(core.KindResource, "%s", refusal.short))
	}
	return err
}

// notUnpacked ends a push of which nothing was stored. No git client shows the text of a
// failed POST, but all show why the server could not unpack. Of each ref is said what
// git's receive-pack says then: without it a client says that the report is missing.
func (s *Service) notUnpacked(ctx context.Context, r Receive, head pktline.ReceiveRequest, why error) error {
	s.Refused(ctx, r.Session, why)
	refs := make([]pktline.RefReport, len(r.Updates))
	for i, u := range r.Updates {
		refs[i] = pktline.RefReport{Ref: u.Name, Reason: "unpacker error"}
	}
	_, err := r.Out.Write(head.AppendReport(nil, oneLine(core.MessageOf(why)), refs))
	return err
}

// room is the error of [Options.Room] for a push that adds something; one that only
// deletes makes room.
func (s *Service) room(ctx context.Context, r Receive) error {
	if s.o.Room == nil || !slices.ContainsFunc(r.Updates, func(u core.RefUpdate) bool { return !u.IsDelete() }) {
		return nil
	}
	return s.o.Room(ctx, r.Repo)
}

// sameFormat is KindInvalid for a push of objects in another format than the
// repository's: git receive-pack ends of it without an answer. A client that
// says no format means SHA-1, see gitprotocol-capabilities(5), "object-format".
func sameFormat(head pktline.ReceiveRequest, format string) error {
	said, length := "sha1", 40
	format = cmp.Or(format, said)
	if format == "sha256" {
		length = 64
	}
	for _, capability := range head.Capabilities {
		if name, ok := strings.CutPrefix(capability, "object-format="); ok {
			said = name
		}
	}
	wrong := len(head.Updates) > 0 && said != format
	for _, u := range head.Updates {
		wrong = wrong || len(u.Old) != length
	}
	if wrong {
		return core.Errorf(core.KindInvalid, "the push is of another object format than the repository, which is of %s; push from a clone of it", format)
	}
	return nil
}

// refusedAll reports whether every update is refused for its name alone.
func (r Receive) refusedAll(c refConstraints) (*results, bool) {
	b := newResults(r.Session)
	for i, u := range r.Updates {
		if v, ok := r.checkName(u, c); !ok {
			b.refuse(i, v.Kind, v.Reason)
		}
	}
	return b, len(b.open) == 0
}

// receive runs git receive-pack with the hook joined to a write session.
func (s *Service) receive(ctx context.Context, r Receive, config []git.Config, body io.Reader) error {
	h, err := newRendezvous()
	if err != nil {
		return err
	}
	defer h.close()
	running, stop := s.outlive(ctx)
	defer stop()
	p, err := s.git.Start(running, git.Command{
		Name: "receive-pack", Dir: s.repos.Path(r.Repo.ID), Config: config,
		Env:   append(git.NamespaceEnv(r.Namespace), git.ProtocolEnv(r.Protocol)...),
		Flags: []string{"--stateless-rpc"}, Args: []string{"."},
		Stdin: body, Stdout: &lastingWriter{w: r.Out}, ExtraFiles: h.child,
	})
	if err != nil {
		return err
	}
	h.started()
	served := make(chan error, 1)
	go func() {
		err := h.serve(ctx, func(ctx context.Context, updates []core.RefUpdate, options []string, atomic bool, notify func(string)) []pktline.RefReport {
			if atomic && len(updates) < len(r.Updates) {
				return refuseRest(updates)
			}
			w := r.Session
			w.Updates, w.PushOptions, w.Atomic, w.Notify = updates, options, atomic, notify
			return s.report(ctx, w)
		})
		// The hook ends when its pipes end; git then sends the report.
		_ = h.messages.Close()
		_ = h.out.Close()
		// What was not read must not keep the hook writing, and git with it.
		_ = h.in.Close()
		served <- err
	}()
	waitErr := p.Wait()
	// The hook's end of the commands is closed by now, so serve has returned
	// or is past its point of no return and must be waited for.
	serveErr := <-served
	var exit *git.ExitError
	if errors.As(waitErr, &exit) {
		// receive-pack exits with 1 after a refused push whose report was
		// written in full; only a signal or a usage error is a failure.
		if exit.Code == 1 {
			waitErr = nil
		}
	}
	return errors.Join(waitErr, serveErr)
}

// leaveGrace is how long receive-pack may take to end by itself after its
// client has left.
const leaveGrace = time.Minute

// outlive returns a context that ends some time after ctx. A client that leaves
// closes receive-pack's input, and it then ends by itself and clears away what
// it had stored. Ended by a signal, as git does it since 2.38, it would leave
// the quarantine behind.
func (s *Service) outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unwatch := context.AfterFunc(ctx, func() {
		select {
		case <-s.clock.After(leaveGrace):
			cancel()
		case <-running.Done():
		}
	})
	return running, func() {
		unwatch()
		cancel()
	}
}

// lastingWriter writes to w until that fails and then to nobody: receive-pack
// must not get a SIGPIPE, see outlive.
type lastingWriter struct {
	w      io.Writer
	failed bool
}

// Write never fails.
func (l *lastingWriter) Write(p []byte) (int, error) {
	if !l.failed {
		_, err := l.w.Write(p)
		l.failed = err != nil
	}
	return len(p), nil
}

// refuseRest refuses what is left of an atomic push of which git itself refused
// a part, for missing objects or the like, and so did not ask about it. Git
// takes a mixed result for what it is and leaves atomicity to the hook.
func refuseRest(updates []core.RefUpdate) []pktline.RefReport {
	reports := make([]pktline.RefReport, len(updates))
	for i, u := range updates {
		reports[i] = pktline.RefReport{Ref: u.Name, Reason: reasonAtomic}
	}
	return reports
}

// report runs the session and turns its results into the reports of the hook.
func (s *Service) report(ctx context.Context, w Session) []pktline.RefReport {
	s.repos.Failpoint("objects-received")
	results, err := s.Write(ctx, w)
	if err != nil {
		s.log.Error("write session failed", "repo_id", w.Repo.ID, "error", err)
		failed := make([]pktline.RefReport, len(w.Updates))
		for i, u := range w.Updates {
			failed[i] = pktline.RefReport{Ref: u.Name, Reason: core.MessageOf(err)}
		}
		return failed
	}
	return reports(results)
}

// reports returns the results as the reports of the protocol.
func reports(results []Result) []pktline.RefReport {
	all := make([]pktline.RefReport, len(results))
	for i, r := range results {
		all[i] = pktline.RefReport{Ref: r.Update.Name, Options: r.Became}
		if !r.OK() {
			all[i].Reason = oneLine(r.Reason)
			if all[i].Reason == "" {
				all[i].Reason = string(r.Kind)
			}
		}
	}
	return all
}
