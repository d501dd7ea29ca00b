package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/discovery"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/git/progress"
	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
)

const (
	// Asking after an unknown outcome: this often, this far apart.
	askAttempts = 4
	askPause    = 500 * time.Millisecond
)

// pushUpstream takes the updates at idx to the upstream and refuses those it
// did not take.
func (s *Service) pushUpstream(ctx context.Context, w Session, b *results, idx []int) {
	s.pushBatch(ctx, w, b, idx)
	b.keepTogether(idx)
	s.explainHeld(ctx, w, b, idx)
}

// checkGone refuses what would go to an upstream that is known to be gone:
// another repository may have its name now, and must not get what was meant for
// the old one. The host is asked again soon, in case that is over. It also refuses
// what would go to a ref of the upstream that a sync leaves out.
func (s *Service) checkGone(ctx context.Context, w Session, b *results) error {
	idx := s.upstreamLeg(w, b)
	if len(idx) == 0 {
		return nil
	}
	state, err := s.store.SyncState(ctx, w.Repo.ID)
	if core.KindOf(err) == core.KindNotFound {
		return nil // detached meanwhile
	}
	if err != nil {
		return err
	}
	for _, i := range idx {
		for _, skipped := range state.Skipped {
			if skipped.Ref == w.Updates[i].Name && b.open[i] {
				b.refuse(i, core.KindConflict, skipped.Reason())
			}
		}
	}
	if !state.UpstreamState.Gone() {
		return nil
	}
	s.wantSync(ctx, w.Repo.ID)
	for _, i := range idx {
		if b.open[i] {
			b.refuse(i, core.KindUpstreamUnavailable, "upstream: "+state.LastError)
		}
	}
	return nil
}

// pushBatch takes the updates upstream in one push.
func (s *Service) pushBatch(ctx context.Context, w Session, b *results, idx []int) {
	byRef := make(map[string]int, len(idx))
	for _, i := range idx {
		byRef[w.Updates[i].Name] = i
	}
	var lines []git.PushLine
	var pushErr error
	ran, sent := false, false
	run := s.runPush
	if len(idx) >= s.o.ManyRefs {
		run = s.pushMany
	}
	leg := func() error {
		return s.up.Do(ctx, w.Repo, providers.OpPush, func(r git.Remote) error {
			ran = true
			var began bool
			lines, _, began, pushErr = run(ctx, w, r, idx)
			sent = sent || began
			if len(lines) > 0 {
				return nil // a result for a ref says nothing of the credential
			}
			return pushErr
		})
	}
	refusal, err := s.onceMore(ctx, &w, leg, func(err error) bool { return len(lines) == 0 && turnedAway(err, ran, sent) })
	if refusal != nil {
		for _, i := range idx {
			b.set(i, core.KindOf(refusal), "upstream: "+core.MessageOf(refusal))
		}
		return
	}
	if len(lines) > 0 {
		err = pushErr
	}
	if s.o.Accepted != nil && slices.ContainsFunc(lines, git.PushLine.Accepted) {
		s.o.Accepted(ctx, w.Repo)
	}
	for _, l := range lines {
		i, ok := byRef[l.To]
		if !ok {
			continue
		}
		delete(byRef, l.To)
		if !l.Accepted() {
			b.set(i, kindOfRefusal(l), l.RefusalReason())
			if l.RefusalReason() == reasonUpstream {
				s.wantSync(ctx, w.Repo.ID)
			}
		}
	}
	// Trust the lines, not the exit status. What has no line is unknown,
	// unless the failure came before anything was sent.
	if len(byRef) == 0 {
		return
	}
	if refusal, known := UpstreamRefusal(err, ran, sent); known {
		reason := refusal.Reason
		switch {
		case refusal.Next == "":
		case w.Source == core.SourceAPI:
			reason = strings.TrimSuffix(reason, ".") + "; next: " + refusal.Next
		default: // once, rather than beside each ref
			w.notify("next: %s", refusal.Next)
		}
		for _, i := range byRef {
			b.set(i, refusal.Kind, reason)
		}
		return
	}
	s.resolveUnknown(ctx, w, b, byRef, err)
}

// keepTogether refuses the rest of an atomic session of which the upstream did
// not take all.
func (b *results) keepTogether(idx []int) {
	if !b.session.Atomic {
		return
	}
	for _, i := range idx {
		if !b.open[i] {
			b.refuseRest(idx)
			return
		}
	}
}

// refuseRest refuses what is open beside idx: what the upstream took has
// happened, but what is ours alone need not follow it.
func (b *results) refuseRest(idx []int) {
	for _, i := range b.pending() {
		if !slices.Contains(idx, i) {
			b.set(i, core.KindConflict, reasonAtomic)
		}
	}
}

// kindOfRefusal tells a lost race from the host's own no.
func kindOfRefusal(l git.PushLine) core.Kind {
	if l.RefusalReason() == reasonUpstream {
		return core.KindStale
	}
	return core.KindUpstreamRejected
}

// Refusal is why the upstream got none of a push.
type Refusal struct {
	Kind   core.Kind
	Reason string // for the report of each ref: whose words, and the words
	Next   string // what to do, once for all refs; "" if the reason says it
}

// UpstreamRefusal returns the refusal of a push that failed before it sent
// anything, or whose request was turned away: then the outcome is known without
// asking. ran says whether git push was tried at all, sent whether anything of it
// can have reached the host.
func UpstreamRefusal(err error, ran, sent bool) (r Refusal, known bool) {
	class, text := upstream.Classify(err)
	r = Refusal{Kind: core.KindUpstreamUnavailable, Reason: class.Describe(text), Next: class.NextStep(text)}
	// In a report of refs it must be plain who refused.
	switch {
	case class == core.ClassInternal, class == core.ClassResource, strings.HasPrefix(r.Reason, "upstream"):
	case class == core.ClassAuth, class == core.ClassRevoked:
		r.Reason = class.Describe("") + ": " + r.Reason
	default:
		r.Reason = "upstream: " + r.Reason
	}
	if !ran || core.KindOf(err) == core.KindPrecondition {
		// No credential, address not allowed, provider down; or the host refused
		// the credential, and the provider knows why there is no fresher one. Those
		// sentences are ours, and say what to do.
		return Refusal{Kind: core.KindOf(err), Reason: "upstream: " + text}, true
	}
	exit, ended := errors.AsType[*git.ExitError](err)
	switch {
	case ended && hosterror.IsAtomicUnsupported(exit.Stderr), errors.Is(err, discovery.ErrNoAtomic):
		return Refusal{Kind: core.KindUnsupported, Reason: reasonNoAtomic}, true
	case ended && hosterror.IsPushOptionsUnsupported(exit.Stderr), errors.Is(err, discovery.ErrNoPushOptions):
		return Refusal{Kind: core.KindUnsupported, Reason: reasonNoOptions}, true
	case sent && (!ended || !hosterror.IsWithoutEffect(exit.Stderr)):
		// Killed by a time limit or for a stall, or its results could not be
		// read, or git's words may be about the answer to what it sent.
		return Refusal{}, false
	}
	switch class {
	case core.ClassAuth, core.ClassRevoked, core.ClassNotFound, core.ClassMoved, core.ClassRefused, core.ClassTooLarge:
		r.Kind = core.KindUpstreamRejected
	case core.ClassRateLimited:
		r.Kind = core.KindRateLimited
	case core.ClassTimeout:
		r.Kind = core.KindUpstreamTimeout
	}
	return r, true
}

// runPush runs git push towards the remote. Every refspec carries a lease with
// the client's old id, so the upstream moves only if it is where the client
// believed; the wire has no force bit, and with leases none is needed.
func (s *Service) runPush(ctx context.Context, w Session, r git.Remote, idx []int) (lines []git.PushLine, became [][]string, sent bool, err error) {
	flags := []string{
		"--porcelain", // one line per ref, for programs
		"--progress",  // says what it is doing although stderr is no terminal
		"--no-verify", // no pre-push hook
		"--no-signed", // the client's signature was for us
		"--recurse-submodules=no",
	}
	if w.Atomic {
		flags = append(flags, "--atomic")
	}
	for _, o := range w.PushOptions {
		flags = append(flags, "--push-option="+o)
	}
	args := make([]string, 1, len(idx)+1)
	args[0] = r.URL
	for _, i := range idx {
		u := w.Updates[i]
		old := ""
		if !u.Old.IsZero() {
			old = string(u.Old)
		}
		flags = append(flags, "--force-with-lease="+u.Name+":"+old)
		if u.IsDelete() {
			args = append(args, ":"+u.Name)
		} else {
			args = append(args, string(u.New)+":"+u.Name)
		}
	}
	var stdout, stderr bytes.Buffer
	said := &relayed{emit: func(line string) { w.notify("%s", line) }}
	messages := hosterror.NewMessages(said.line, r.Secrets()...)
	relay := progress.NewLineWriter(messages.Line)
	phase, became, err := s.git.Push(ctx, git.Command{
		Name: "push", Dir: s.repos.Path(w.Repo.ID), Flags: flags, Args: args, Remote: &r,
		Stdout: &stdout, Stderr: io.MultiWriter(relay, git.TailWriter(&stderr)), // the reason comes after the progress
	}, len(idx) == 1 && forReview(w.Updates[idx[0]].Name), said.release)
	_ = relay.Close()
	if err == nil || phase == git.PushSent {
		said.release()
	}
	var perr error
	lines, perr = git.ParsePushPorcelain(&stdout)
	for i := range lines {
		// A host may repeat in a reason what it was sent.
		lines[i].Reason = hosterror.Redact(lines[i].Reason, r.Secrets()...)
	}
	if perr != nil && err == nil {
		err = perr
	}
	var exit *git.ExitError
	if errors.As(err, &exit) {
		exit.Stderr = hosterror.Redact(stderr.String(), r.Secrets()...)
	}
	if phase == git.PushAsked && (len(lines) > 0 || errors.Is(err, git.ErrNotSmart)) {
		// Git's own results, or its own failure, on a response that is not a list of refs.
		lines, err = nil, &hosterror.Error{
			Class: core.ClassProtocol, HostText: "a page, or the old \"dumb\" HTTP protocol", Err: err,
		}
	}
	return lines, became, phase == git.PushSent, err
}

// resolveUnknown finds out what became of updates that the upstream did not answer for.
// What it cannot find out at once is left to Run.
func (s *Service) resolveUnknown(ctx context.Context, w Session, b *results, byRef map[string]int, cause error) {
	class, text := upstream.Classify(cause)
	s.log.Warn("push outcome unknown, asking the upstream", "repo_id", w.Repo.ID, "refs", len(byRef), "class", class, "host_text", text)
	w.notify("the upstream did not confirm the push; asking it what it has")
	reason := reasonUnknown
	if text != "" {
		reason = fmt.Sprintf("%s (%s)", reasonUnknown, oneLine(text))
	}
	// The push may have used up its own time: asking gets some of its own.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	names := make([]string, 0, len(byRef))
	for name := range byRef {
		names = append(names, name)
	}
	for attempt := range askAttempts {
		if attempt > 0 {
			<-s.clock.After(askPause << attempt)
		}
		adv, err := s.up.Refs(ctx, w.Repo, names)
		if err != nil {
			continue
		}
		s.decideByListing(ctx, w, b, byRef, adv, reason)
		return
	}
	for _, i := range byRef {
		b.setUnknown(i, reason)
	}
}

// decideByListing decides unknown updates by what the upstream has now. An old id decides
// nothing yet: a hook of the host may still be at work.
func (s *Service) decideByListing(ctx context.Context, w Session, b *results, byRef map[string]int, adv discovery.Advertisement, reason string) {
	for name, i := range byRef {
		u := w.Updates[i]
		switch at := adv.Refs[name]; {
		case at.Same(u.New):
			// The upstream has it: accepted, whatever became of the answer.
		case at.Same(u.Old):
			b.setUnknown(i, reason)
		default:
			// It has gone on, and the lease keeps our update out for good.
			b.set(i, core.KindStale, reasonUpstream)
			s.wantSync(ctx, w.Repo.ID)
		}
	}
}

// oneLine folds a text into one line for a report.
func oneLine(s string) string {
	return string(bytes.Join(bytes.Fields([]byte(s)), []byte(" ")))
}
