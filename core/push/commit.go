package push

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/repo"
)

// applyTimeout bounds the local part after the upstream has decided.
const applyTimeout = 2 * time.Minute

// commit journals the open updates, takes them upstream, and applies what was
// accepted. From the journal on the client may hang up: its context ends
// nothing any more, because an update that is on its way cannot be called back.
// From there on it returns no error either: what it cannot find out or write
// down is left to Run, with its locks, and the client is told.
func (s *Service) commit(ctx context.Context, w Session, b *ballot, held *refLocks) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	upstream := s.upstreamLeg(w, b)
	j := core.JournalEntry{
		ID: core.NewID("jrn", s.clock.Now()), RepoID: w.Repo.ID, Namespace: w.Namespace, Source: w.Source, Actor: w.Actor.Subject,
		Upstream: len(upstream) > 0, State: core.JournalSent, Updates: b.updates(), CreatedAt: s.clock.Now(),
	}
	if err := s.store.OpenJournal(ctx, j); err != nil {
		return err
	}
	b.journaled = true
	ctx = context.WithoutCancel(ctx)
	s.repos.Failpoint("journal-sent")
	if len(upstream) > 0 {
		b.credential, b.login = s.credentialOf(ctx, w.Repo)
		upCtx, cancel := context.WithTimeout(ctx, s.o.PushTimeout)
		s.pushUpstream(upCtx, w, b, upstream)
		cancel()
		s.repos.Failpoint("upstream-accepted")
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	s.apply(ctx, w, b, j, held)
	return nil
}

// apply moves the local refs to what was accepted, and leaves to Run what is
// not known.
func (s *Service) apply(ctx context.Context, w Session, b *ballot, j core.JournalEntry, held *refLocks) {
	done, unknown := b.updates(), b.unknown()
	switch {
	case len(done) > 0:
	case len(unknown) > 0:
		// The audit entry comes with the outcome.
		entry := s.entry(b, nil)
		j.Updates = unknown
		s.leave(&unsettled{entry: j, audit: &entry}, held)
		return
	default:
		s.close(ctx, b, j, core.JournalDropped, nil, held)
		return
	}
	j.Updates = done
	entry := s.entry(b, nil)
	rest := s.remainder(j, unknown)
	also := func(q core.Queries) error {
		if len(unknown) > 0 {
			if err := q.OpenJournal(ctx, rest); err != nil {
				return err
			}
		}
		return q.AddAudit(ctx, entry)
	}
	head := s.firstHead(ctx, w, j.Updates)
	err := s.repos.ApplyRefUpdates(ctx, repo.Apply{Repo: w.Repo, Journal: j, Head: head, Also: func(q core.Queries) error {
		if head != "" {
			if err := q.SetDefaultBranch(ctx, w.Repo.ID, strings.TrimPrefix(head, "refs/heads/")); err != nil {
				return err
			}
		}
		return also(q)
	}})
	s.repos.Failpoint("recorded")
	whole := j
	whole.Updates = slices.Concat(done, unknown)
	var applied *repo.AppliedError
	switch {
	case err == nil:
	case errors.As(err, &applied):
		// The refs are where the client wants them; what is missing is the
		// record, and the word of it.
		s.log.Error("a push was applied but could not be recorded; trying again", "repo_id", w.Repo.ID, "journal_id", j.ID, "error", err)
		s.leave(&unsettled{entry: whole, audit: &entry, taken: len(unknown) == 0}, held)
		return
	case !j.Upstream:
		s.refused(ctx, b, j, err, held)
		return
	default:
		// The upstream has it, so "no" would be a lie that makes the client try
		// again. The journal stays open as lagging, and a sync brings it here.
		s.log.Error("the upstream took a push that could not be applied here", "repo_id", w.Repo.ID, "journal_id", j.ID, "error", err)
		w.notify("warning: the upstream has your push, but the local copy is behind; a sync is scheduled")
		entry.Message = "the upstream took it, but the local copy is behind"
		if _, nothing := repo.IsRefError(err); !nothing {
			// Some of it may have moved, of which no sync would tell.
			s.leave(&unsettled{entry: whole, audit: &entry, taken: len(unknown) == 0}, held)
			return
		}
		err = s.store.Tx(ctx, func(q core.Queries) error {
			if err := q.CloseJournal(ctx, j.ID, core.JournalLagging, j.Updates, s.clock.Now()); err != nil {
				return err
			}
			return also(q)
		})
		if err != nil {
			s.log.Error("a journal entry could not be closed; trying again", "journal_id", j.ID, "error", err)
			s.leave(&unsettled{entry: whole, audit: &entry}, held)
			return
		}
		s.wantSync(ctx, w.Repo.ID)
	}
	if len(unknown) > 0 {
		s.leave(&unsettled{entry: rest, audit: &entry}, held)
	}
}

// close closes the journal entry of a session whose end is known. If the store
// fails, Run does it later; the verdicts stand.
func (s *Service) close(ctx context.Context, b *ballot, j core.JournalEntry, state core.JournalState, updates []core.RefUpdate, held *refLocks) {
	entry := s.entry(b, nil)
	if err := s.closeJournal(ctx, j.ID, state, updates, entry); err != nil {
		s.log.Error("a journal entry could not be closed; trying again", "repo_id", j.RepoID, "journal_id", j.ID, "error", err)
		s.leave(&unsettled{entry: j, audit: &entry, verdict: &verdict{state, updates}}, held)
	}
}

// refused turns a failed local apply into verdicts.
func (s *Service) refused(ctx context.Context, b *ballot, j core.JournalEntry, err error, held *refLocks) {
	re, ok := repo.IsRefError(err)
	if !ok {
		s.log.Error("it is not known whether refs were written; looking again", "repo_id", j.RepoID, "journal_id", j.ID, "error", err)
		b.refuseAll(core.KindInternal, reasonUnwritten)
		entry := s.entry(b, nil)
		s.leave(&unsettled{entry: j, audit: &entry}, held)
		return
	}
	s.log.Warn("refs could not be written", "repo_id", j.RepoID, "error", err)
	if i := b.find(j.Namespace, re.Ref); i >= 0 && len(j.Updates) == 1 {
		b.refuse(i, kindOfRef(re.Kind), reasonOfRef(re.Kind))
	} else {
		b.refuseAll(kindOfRef(re.Kind), reasonOfRef(re.Kind))
	}
	s.close(ctx, b, j, core.JournalDropped, nil, held)
}
