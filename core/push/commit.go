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

// commit journals the open updates, takes them upstream, and applies what was
// accepted. From the journal on the client may hang up: its context ends
// nothing any more, because an update that is on its way cannot be called back.
func (s *Service) commit(ctx context.Context, w Session, b *ballot) error {
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
	err := s.apply(ctx, w, b, j)
	if errors.Is(err, errNothing) {
		return s.closeJournal(ctx, j.ID, core.JournalDropped, nil, s.entry(b, nil))
	}
	return err
}

// apply moves the local refs to what was accepted.
func (s *Service) apply(ctx context.Context, w Session, b *ballot, j core.JournalEntry) error {
	j.Updates = b.updates()
	if len(j.Updates) == 0 {
		return errNothing
	}
	entry := s.entry(b, nil)
	head := s.firstHead(ctx, w, j.Updates)
	err := s.repos.ApplyRefUpdates(ctx, repo.Apply{
		Repo: w.Repo, Journal: j, Head: head, Also: func(q core.Queries) error {
			if head != "" {
				if err := q.SetDefaultBranch(ctx, w.Repo.ID, strings.TrimPrefix(head, "refs/heads/")); err != nil {
					return err
				}
			}
			return q.AddAudit(ctx, entry)
		},
	})
	s.repos.Failpoint("recorded")
	if err == nil {
		return nil
	}
	var applied *repo.AppliedError
	if errors.As(err, &applied) {
		// The refs are where the client wants them. Their journal entry is
		// open, so that the next start tells of them.
		s.log.Error("a push was applied but could not be recorded", "repo_id", w.Repo.ID, "journal_id", j.ID, "error", err)
		return nil
	}
	if !j.Upstream {
		return s.refused(ctx, b, j, err)
	}
	// The upstream has it, so "no" would be a lie that makes the client try
	// again. The journal stays open as lagging, and a sync brings it here.
	s.log.Error("the upstream took a push that could not be applied here", "repo_id", w.Repo.ID, "journal_id", j.ID, "error", err)
	w.notify("warning: the upstream has your push, but the local copy is behind; a sync is scheduled")
	entry.Message = "the upstream took it, but the local copy is behind"
	if cerr := s.closeJournal(ctx, j.ID, core.JournalLagging, j.Updates, entry); cerr != nil {
		s.log.Error("journal entry stays open until the next start", "journal_id", j.ID, "error", cerr)
	}
	s.wantSync(ctx, w.Repo.ID)
	return nil
}

// refused turns a failed local apply into verdicts.
func (s *Service) refused(ctx context.Context, b *ballot, j core.JournalEntry, err error) error {
	re, ok := repo.IsRefError(err)
	if !ok {
		return err // the store failed; recovery at the next start closes the entry
	}
	s.log.Warn("refs could not be written", "repo_id", j.RepoID, "error", err)
	if i := b.find(j.Namespace, re.Ref); i >= 0 && len(j.Updates) == 1 {
		b.refuse(i, kindOfRef(re.Kind), reasonOfRef(re.Kind))
	} else {
		b.refuseAll(kindOfRef(re.Kind), reasonOfRef(re.Kind))
	}
	return errNothing
}
