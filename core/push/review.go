package push

import (
	"context"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/providers"
)

// A push to refs/for/BRANCH asks a host that does AGit for a pull request. It is
// passed on with its options and never stored here: it moves no ref under its own
// name, so there is nothing to lock, to journal or to settle. What the host made
// of it comes with the next sync, where pull requests are mirrored.

const (
	reasonReviewAlone   = "refs/for/ cannot be part of an atomic push with other refs; push it by itself"
	reasonReviewDelete  = "a pull request is not deleted by a push; close it at the host"
	reasonReviewUnknown = "outcome unknown: the upstream did not confirm the pull request; look at the host before you push again"
)

// forReview reports whether a ref is none, but a request for a review.
func forReview(name string) bool { return strings.HasPrefix(name, "refs/for/") }

// checkReview is checkName for what is passed on.
func (s Session) checkReview(u core.RefUpdate, m providers.Manifest) (Result, bool) {
	switch {
	case m.Mode == providers.ModePublic:
		return refuse(u, core.KindPermission, reasonReadOnly), false
	case !m.Capabilities.PushHTTPS:
		return refuse(u, core.KindUnsupported, m.Capabilities.PushUnsupported), false
	case u.IsDelete():
		return refuse(u, core.KindInvalid, reasonReviewDelete), false
	}
	return Result{}, true
}

// review passes on what asks for a review, and takes it out of the session.
func (s *Service) review(ctx context.Context, w Session, b *results) error {
	if w.Repo.Upstream == nil || w.Namespace != core.Default {
		return nil
	}
	pending := b.pending()
	idx := slices.DeleteFunc(slices.Clone(pending), func(i int) bool { return !forReview(w.Updates[i].Name) })
	if len(idx) == 0 {
		return nil
	}
	if w.Atomic && len(pending) > 1 {
		for _, i := range idx {
			b.refuse(i, core.KindUnsupported, reasonReviewAlone)
		}
		return nil
	}
	if err := s.checkGone(ctx, w, b); err != nil {
		return err
	}
	b.credential, b.login = s.credentialOf(ctx, w.Repo)
	// Like any push: what is on its way cannot be called back.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.o.PushTimeout)
	defer cancel()
	for _, i := range idx {
		if b.open[i] {
			// One by one: git's lines name what came of a ref and not the ref.
			s.reviewOne(ctx, w, b, i)
		}
	}
	return nil
}

// reviewOne passes on one request.
func (s *Service) reviewOne(ctx context.Context, w Session, b *results, i int) {
	var lines []git.PushLine
	var became [][]string
	var pushErr error
	ran, sent := false, false
	leg := func() error {
		return s.up.Do(ctx, w.Repo, providers.OpPush, func(r git.Remote) error {
			ran = true
			var began bool
			lines, became, began, pushErr = s.runPush(ctx, w, r, []int{i})
			sent = sent || began
			if len(lines) > 0 {
				return nil
			}
			return pushErr
		})
	}
	refusal, err := s.onceMore(ctx, &w, leg, func(err error) bool { return len(lines) == 0 && turnedAway(err, ran, sent) })
	if refusal != nil {
		b.set(i, core.KindOf(refusal), "upstream: "+core.MessageOf(refusal))
		return
	}
	for _, l := range lines {
		if !l.Accepted() {
			b.set(i, kindOfRefusal(l), l.RefusalReason())
			return
		}
	}
	if len(lines) > 0 {
		b.list[i].Became = became
		delete(b.open, i)
		if s.o.Accepted != nil {
			s.o.Accepted(ctx, w.Repo)
		}
		return
	}
	if refusal, known := UpstreamRefusal(err, ran, sent); known {
		if refusal.Next != "" {
			w.notify("next: %s", refusal.Next)
		}
		b.set(i, refusal.Kind, refusal.Reason)
		return
	}
	s.log.Warn("the upstream did not confirm a pull request", "repo_id", w.Repo.ID, "ref", w.Updates[i].Name, "error", err)
	b.set(i, core.KindUpstreamTimeout, reasonReviewUnknown)
}
