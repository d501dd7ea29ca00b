package push

import (
	"context"
	"errors"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/hosterror"
	"github.com/headwater-git/headwater/core/upstream"
)

// confirm refuses what would go to an upstream of which nobody knows that it is
// still the one that is followed: another repository may have taken its name,
// with equal refs. It returns the session with the place that the upstream has
// now, as its old name may be another one's already.
func (s *Service) confirm(ctx context.Context, w Session, b *results) (Session, error) {
	idx := s.upstreamLeg(w, b)
	if s.o.Confirm == nil || len(idx) == 0 {
		return w, nil
	}
	r, err := s.o.Confirm(ctx, w.Repo)
	if err == nil {
		w.Repo = r
		return w, nil
	}
	if ctx.Err() != nil {
		return w, context.Cause(ctx)
	}
	var e *core.Error
	if !errors.As(err, &e) {
		return w, err
	}
	if e.RetryAfter > 0 && w.Source == core.SourceAPI {
		return w, err // an answer of its own, which says when to come again
	}
	if e.Kind == core.KindConflict {
		b.refuseAll(core.KindStale, reasonRelinked)
		return w, nil
	}
	for _, i := range idx {
		if b.open[i] {
			b.refuse(i, e.Kind, "upstream: "+e.Message)
		}
	}
	return w, nil
}

// turnedAway reports whether the upstream refused a whole push before it did
// any of it, in a way that a rename, another credential or the end of the
// repository would explain. sent says whether anything of it can have reached the
// host, where that was not git's to find out.
func turnedAway(err error, ran, sent bool) bool {
	if !ran || err == nil {
		return false
	}
	if exit, ok := errors.AsType[*git.ExitError](err); ok && !hosterror.IsWithoutEffect(exit.Stderr) || !ok && sent {
		return false
	}
	return upstream.TurnedAway(err)
}

// onceMore runs the upstream leg of a push, and runs it again where the host turned it
// away, as turned reports of its error, and the upstream has another address or credential
// now. refusal is what the host said of the upstream instead, if that explains the failure.
func (s *Service) onceMore(ctx context.Context, w *Session, leg func() error, turned func(error) bool) (refusal, err error) {
	known := s.storedAt(ctx, w.Repo)
	if err = leg(); !turned(err) {
		return nil, err
	}
	refusal, again := s.recheck(ctx, w, err, known)
	if again {
		return nil, leg()
	}
	return refusal, err
}

// recheck has the host asked about the upstream that turned a push away. again
// is whether its address or credential is another one now, so that the push is
// worth a second attempt; else refusal says what the host said of it, if that
// explains the first.
func (s *Service) recheck(ctx context.Context, w *Session, failure error, known time.Time) (refusal error, again bool) {
	if s.o.Follow == nil {
		return nil, false
	}
	now, refusal := s.o.Follow(ctx, w.Repo, failure)
	if now.Upstream.URL != w.Repo.Upstream.URL || !s.storedAt(ctx, now).Equal(known) {
		w.Repo = now
		return nil, true
	}
	return refusal, false
}

// storedAt returns since when the repository's credential is what it is; zero:
// there is none.
func (s *Service) storedAt(ctx context.Context, r core.Repository) time.Time {
	c, err := s.store.CredentialByRepo(ctx, r.ID)
	if err != nil {
		return time.Time{}
	}
	return c.UpdatedAt
}
