package rewrite

import (
	"context"
	"fmt"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
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
	ctx, done, err := s.repos.Writing(ctx, c.Repo.ID)
	if err != nil {
		return row, err
	}
	defer done()
	lockCtx, cancel := context.WithTimeout(ctx, s.o.LockTimeout)
	held, err := s.repos.LockRefs(lockCtx, c.Repo.ID, []string{row.Ref}, nil)
	cancel()
	if err != nil {
		if ctx.Err() != nil {
			return row, context.Cause(ctx)
		}
		return row, core.Errorf(core.KindLocked, "another update of %s is under way, try again", row.Ref)
	}
	defer held.Release()
	// Read again: whoever held the lock may have decided it.
	if now, err := s.Get(ctx, c.Repo.ID, id); err != nil || now.State != row.State {
		if err == nil {
			err = core.Errorf(core.KindConflict, "the rewrite of %s has become %s meanwhile", row.Ref, now.State)
		}
		return row, err
	}
	return s.applyApproved(ctx, c, row, held)
}

// applyApproved moves the ref of an approved rewrite; held has the ref's lock.
func (s *Service) applyApproved(ctx context.Context, c commit.Caller, row core.Rewrite, held *repo.RefLocks) (core.Rewrite, error) {
	if err := s.repos.Current(ctx, c.Repo); err != nil {
		return row, err
	}
	tracking := core.TrackingRef(row.Ref)
	here, err := s.git.RefsNamed(ctx, s.repos.Path(c.Repo.ID), []string{row.Ref, tracking})
	if err != nil {
		return row, err
	}
	if !here[row.Ref].Same(row.Old) || !here[tracking].Same(row.New) {
		s.o.WantSync(ctx, c.Repo.ID)
		return row, core.Errorf(core.KindStale, "%s is not where it was when this was held; look at the newer rewrite once the sync has run", row.Ref)
	}
	o, err := s.repos.Transact(ctx, repo.Intent{
		Repo: c.Repo, Source: core.SourceSync, Actor: c.Actor.Subject, LocalTimeout: applyTimeout, Locks: held,
		Updates: []core.RefUpdate{{Name: row.Ref, Old: row.Old, New: row.New}},
		Record: func(ctx context.Context, q core.Queries, j core.JournalEntry) error {
			row.State, row.JournalID, row.DecidedAt, row.DecidedBy = core.RewriteApproved, j.ID, j.CreatedAt, c.Actor.Subject
			if err := q.SaveRewrite(ctx, row); err != nil || !row.New.IsZero() {
				return err
			}
			// A branch that this one was in the way of can come now, which the
			// next listing alone would not show.
			return q.SetDigest(ctx, c.Repo.ID, "")
		},
	})
	if err != nil {
		return row, err
	}
	if re, refused := repo.IsRefError(o.Err); refused {
		return row, &core.Error{Kind: re.Kind.Kind(), Message: row.Ref + " could not be moved: " + string(re.Kind), Err: o.Err}
	}
	if o.Err == nil && row.New.IsZero() {
		s.o.WantSync(ctx, c.Repo.ID)
	}
	return row, o.Err
}

func describe(id core.ObjectID) string {
	if id.IsZero() {
		return "nowhere (it is deleted)"
	}
	return string(id)
}
