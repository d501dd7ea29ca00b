package push

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/repo"
)

// applyTimeout bounds the local part after the upstream has decided.
const applyTimeout = 2 * time.Minute

// commit takes the open updates through [repo.Repos.Transact]. From its journal on
// the client may hang up, and there is no error any more: what cannot be found out
// or written down is left to Run, with its locks, and the client is notified.
func (s *Service) commit(ctx context.Context, w Session, b *results, held *repo.RefLocks) error {
	b.watch.lap(PhaseCheck)
	in := repo.Intent{
		Repo: w.Repo, Namespace: w.Namespace, Source: w.Source, Actor: w.Actor.Subject, Updates: b.updates(), Locks: held,
		Audit: func(o repo.Outcome) *core.AuditEntry { return s.ended(b, o) }, LocalTimeout: applyTimeout,
	}
	if in.Head = s.firstHead(ctx, w, in.Updates); in.Head != "" {
		in.RecordHead = func(ctx context.Context, q core.Queries) error {
			return q.SetDefaultBranch(ctx, w.Repo.ID, strings.TrimPrefix(in.Head, "refs/heads/"))
		}
	}
	if upstream := s.upstreamLeg(w, b); len(upstream) > 0 {
		in.Upstream = func(ctx context.Context) repo.Answer {
			b.watch.lap(PhaseJournal)
			defer b.watch.lap(PhaseUpstream)
			b.credential, b.login = s.credentialOf(ctx, w.Repo)
			ctx, cancel := context.WithTimeout(ctx, s.o.PushTimeout)
			defer cancel()
			s.pushUpstream(ctx, w, b, upstream)
			return repo.Answer{Accepted: b.updates(), Unknown: b.unknown()}
		}
	}
	o, err := s.repos.Transact(ctx, in)
	if err != nil {
		return err
	}
	b.journaled = true
	b.watch.lap(PhaseApply)
	switch {
	case o.Err == nil:
	case behind(o):
		s.log.Error("the upstream took a push that could not be applied here", "repo_id", w.Repo.ID, "journal_id", o.Entry.ID, "error", o.Err)
		w.notify("warning: the upstream has your push, but the local copy is behind; a sync is scheduled")
	default:
		s.log.Warn("a push could not be applied and recorded as a whole", "repo_id", w.Repo.ID, "journal_id", o.Entry.ID, "state", o.State, "error", o.Err)
	}
	if o.State == core.JournalLagging {
		s.wantSync(ctx, w.Repo.ID)
	}
	return nil
}

// ended turns the end of a session's transaction into results, and returns its
// audit entry.
func (s *Service) ended(b *results, o repo.Outcome) *core.AuditEntry {
	_, moved := errors.AsType[*repo.AppliedError](o.Err)
	switch {
	case o.Err == nil, moved:
	case o.State == core.JournalDropped:
		b.refuseRefs(o)
	case o.State == core.JournalSent && !o.Entry.Upstream:
		b.refuseAll(unwritten(o.Err))
	}
	e := s.entry(b, nil)
	if behind(o) {
		e.Message = "the upstream took it, but the local copy is behind"
	}
	return &e
}

// behind reports whether the upstream has what could not be brought here.
func behind(o repo.Outcome) bool {
	_, moved := errors.AsType[*repo.AppliedError](o.Err)
	return o.Err != nil && !moved && o.Entry.Upstream && o.State != core.JournalDropped
}

// refuseRefs refuses what could not be written here, for git's reason.
func (b *results) refuseRefs(o repo.Outcome) {
	re, ok := repo.IsRefError(o.Err)
	if !ok {
		b.refuseAll(unwritten(o.Err))
		return
	}
	if i := b.find(o.Entry.Namespace, re.Ref); i >= 0 && len(b.open) == 1 {
		b.refuse(i, re.Kind.Kind(), re.Kind.Reason())
		return
	}
	b.refuseAll(re.Kind.Kind(), re.Kind.Reason())
}

// unwritten returns kind and reason of a refusal for what could not be written down,
// with what this machine ran out of if it was that.
func unwritten(err error) (core.Kind, string) {
	if core.KindOf(err) == core.KindResource {
		return core.KindResource, reasonUnwritten + "; " + core.MessageOf(err)
	}
	return core.KindInternal, reasonUnwritten
}
