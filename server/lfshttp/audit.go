package lfshttp

import (
	"context"
	"errors"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/lfs"
)

// auditTimeout bounds how long a request waits for its audit entry.
const auditTimeout = 10 * time.Second

// audit records what became of a request that takes or removes a lock. A failure to record
// is logged: what was done is done.
func (h *Handler) audit(c *call, action string, cause error) {
	if action == "" || c.Identity.Org == "" {
		return
	}
	// Also of a client that has left.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.r.Context()), auditTimeout)
	defer cancel()
	if c.repo.ID == "" {
		c.repo = h.access.Wanted(ctx, c.Identity, c.target.name)
	}
	if locked, ok := errors.AsType[*lfs.LockedError](cause); ok {
		cause = core.Errorf(core.KindConflict, "%s", locked.Error())
	}
	now := h.o.Clock.Now()
	e := core.AuditEntry{
		ID: core.NewID("aud", now), Org: c.Identity.Org, RepoID: c.repo.ID, RepoName: c.repo.Name, At: now, Actor: c.Actor(c.r),
		Action: action, Target: c.lockPath, Outcome: core.OutcomeOf(core.KindOf(cause)), Message: c.lockNote,
	}
	if e.Target == "" {
		e.Target = c.target.id
	}
	if cause != nil {
		e.Message = core.MessageOf(cause)
	}
	if err := h.o.Audit.AddAudit(ctx, e); err != nil {
		h.log.Error("audit entry could not be written", "org", e.Org, "repo_id", e.RepoID, "subject", e.Actor.Subject,
			"action", e.Action, "outcome", e.Outcome, "error", err)
	}
}
