package rewrite

import (
	"context"
	"fmt"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/repo"
)

// applyTimeout bounds the local part of an approval.
const applyTimeout = 2 * time.Minute

// Approve moves the ref of a held rewrite as the upstream moved it, if the
// upstream still has it there. A dismissed one can be approved later. Errors:
// KindNotFound; KindConflict if it is not held, or the name conflicts with
// another ref; KindStale if the upstream has moved on, or back: a sync is asked
// for, which makes a new row; KindLocked; KindPermission if the token's policy
// forbids to rewrite the ref; and what asking the upstream may say.
func (s *Service) Approve(ctx context.Context, c commit.Caller, id string) (core.Rewrite, error) {
	row, err := s.Get(ctx, c.Repo.ID, id)
	if err != nil {
		return row, err
	}
	if err := allowed(c, row); err != nil {
		return row, err
	}
	switch {
	case row.State == core.RewriteHeld, row.State == core.RewriteDismissed && row.JournalID == "":
	case row.State == core.RewriteFrozen:
		return row, core.Errorf(core.KindConflict, "%s is frozen by a ref policy; change the policy to let it move", row.Ref)
	default:
		return row, core.Errorf(core.KindConflict, "the rewrite of %s is %s, so there is nothing to approve", row.Ref, row.State)
	}
	if c.Repo.Upstream == nil {
		return row, core.Errorf(core.KindConflict, "the repository has no upstream any more")
	}
	adv, err := s.up.Refs(ctx, c.Repo, []string{row.Ref})
	if err != nil {
		return row, fmt.Errorf("ask the upstream: %w", err)
	}
	if at := adv.Refs[row.Ref]; !at.Same(row.New) {
		s.o.WantSync(ctx, c.Repo.ID)
		return row, core.Errorf(core.KindStale, "the upstream has moved %s since, to %s; look at the newer rewrite once the sync has run", row.Ref, describe(at))
	}
	lockCtx, cancel := context.WithTimeout(ctx, s.o.LockTimeout)
	unlock, err := s.repos.Locks().LockRefs(lockCtx, c.Repo.ID, []string{row.Ref}, nil)
	cancel()
	if err != nil {
		if ctx.Err() != nil {
			return row, context.Cause(ctx)
		}
		return row, core.Errorf(core.KindLocked, "another update of %s is under way, try again", row.Ref)
	}
	defer unlock()
	// Read again: whoever held the lock may have decided it.
	if now, err := s.Get(ctx, c.Repo.ID, id); err != nil || now.State != row.State {
		if err == nil {
			err = core.Errorf(core.KindConflict, "the rewrite of %s has become %s meanwhile", row.Ref, now.State)
		}
		return row, err
	}
	return s.let(ctx, c, row)
}

// let takes an approved rewrite through the door; the caller holds the ref lock.
func (s *Service) let(ctx context.Context, c commit.Caller, row core.Rewrite) (core.Rewrite, error) {
	tracking := core.TrackingRef(row.Ref)
	here, err := s.git.RefsNamed(ctx, s.repos.Path(c.Repo.ID), []string{row.Ref, tracking})
	if err != nil {
		return row, err
	}
	if !here[row.Ref].Same(row.Old) || !here[tracking].Same(row.New) {
		s.o.WantSync(ctx, c.Repo.ID)
		return row, core.Errorf(core.KindStale, "%s is not where it was when this was held; look at the newer rewrite once the sync has run", row.Ref)
	}
	now := s.clock.Now()
	j := core.JournalEntry{
		ID: core.NewID("jrn", now), RepoID: c.Repo.ID, Source: core.SourceSync, Actor: c.Actor.Subject, State: core.JournalSent,
		Updates: []core.RefUpdate{{Name: row.Ref, Old: row.Old, New: row.New}}, CreatedAt: now,
	}
	if err := s.store.OpenJournal(ctx, j); err != nil {
		return row, err
	}
	s.repos.Failpoint("approve-journal-sent")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	row.State, row.JournalID, row.DecidedAt, row.DecidedBy = core.RewriteApproved, j.ID, now, c.Actor.Subject
	err = s.repos.ApplyRefUpdates(ctx, repo.Apply{Repo: c.Repo, Journal: j, Also: func(q core.Queries) error {
		if err := q.SaveRewrite(ctx, row); err != nil {
			return err
		}
		if !row.New.IsZero() {
			return nil
		}
		// A branch that this one was in the way of can come now, which the
		// next listing alone would not show.
		return q.SetDigest(ctx, c.Repo.ID, "")
	}})
	re, refused := repo.IsRefError(err)
	if !refused {
		if err == nil && row.New.IsZero() {
			s.o.WantSync(ctx, c.Repo.ID)
		}
		if repo.LeavesOpen(err) {
			s.o.Left(j)
		}
		return row, err
	}
	if cerr := s.store.CloseJournal(ctx, j.ID, core.JournalDropped, nil, s.clock.Now()); cerr != nil {
		s.log.Error("a journal entry could not be closed; trying again", "journal_id", j.ID, "error", cerr)
		s.o.Left(j)
	}
	kind := core.KindInternal
	switch re.Kind {
	case git.RefConflict:
		kind = core.KindConflict
	case git.RefStale:
		kind = core.KindStale
	case git.RefLocked:
		kind = core.KindLocked
	}
	return row, &core.Error{Kind: kind, Message: row.Ref + " could not be moved: " + string(re.Kind), Err: err}
}

func describe(id core.ObjectID) string {
	if id.IsZero() {
		return "nowhere (it is deleted)"
	}
	return string(id)
}
