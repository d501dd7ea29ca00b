package engine

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/schedule"
)

// DeleteRepository deletes a repository. It goes into the trash for as long as
// [Options.KeepDeleted] says, or with now is removed with all that belongs to it. Its name
// is free, and its webhook at the host is removed. It returns the repository as it is in
// the trash; not in it, it is gone.
func (e *Engine) DeleteRepository(ctx context.Context, r core.Repository, now bool) (core.Repository, error) {
	resume := func() {}
	if r.Upstream != nil {
		e.monitor.Forget(r.ID)
		var err error
		// Between Halt and resume no run starts that has read the row before the change.
		if resume, err = e.schedule.Halt(ctx, r.ID); err != nil {
			return r, err
		}
	}
	defer resume()
	gone := e.inbound.Leaving(ctx, r)
	// From here on it is done whether or not the caller waits.
	ctx = context.WithoutCancel(ctx)
	var err error
	if now || e.keepDeleted <= 0 {
		err = e.repos.Delete(ctx, r.ID)
	} else {
		r.DeletedAt = e.clock.Now()
		r.KeptUntil = r.DeletedAt.Add(e.keepDeleted)
		err = e.repos.Trash(ctx, r, r.KeptUntil)
	}
	if err != nil {
		return r, err
	}
	gone()
	resume()
	if r.Upstream != nil {
		// Whoever waits for a run learns that there will be none.
		if err := e.sync.Cancel(ctx, r.ID); err != nil {
			return r, err
		}
	}
	e.rebuild.Forget(r.ID)
	e.objects.End(e.repos.Path(r.ID))
	e.log.Info("repository deleted", "repo_id", r.ID, "org", r.Org, "name", r.Name, "kept_until", r.KeptUntil)
	return r, nil
}

// DeletedRepository returns what is in the trash of an organisation under a name, the
// newest of several, or under an id. KindNotFound: nothing is.
func (e *Engine) DeletedRepository(ctx context.Context, org, nameOrID string) (core.Repository, error) {
	return e.store.DeletedRepository(ctx, org, nameOrID)
}

// UndeleteRepository takes a repository out of the trash, under a name or with "" under
// the one that it had. Its webhook is registered at the host again, and it is synced.
// Errors: KindInvalid: no name for a repository. KindConflict: the name is taken.
// KindPermission: the organisation has as many repositories as it may. KindNotFound: it
// is not in the trash any more.
func (e *Engine) UndeleteRepository(ctx context.Context, r core.Repository, name string) (core.Repository, error) {
	if name == "" {
		name = r.Name
	}
	if err := core.ValidateRepositoryName(name); err != nil {
		return r, err
	}
	if taken, err := e.store.Repository(ctx, r.Org, name); err == nil {
		return r, core.Errorf(core.KindConflict,
			"there is another repository %q now, made %s: undelete this one under another name (headwater repo undelete --as NAME)", name, taken.CreatedAt.UTC().Format(time.RFC3339))
	} else if core.KindOf(err) != core.KindNotFound {
		return r, err
	}
	if err := e.quota.CheckUndelete(ctx, r.Org); err != nil {
		return r, err
	}
	back, err := e.repos.Undelete(ctx, r, name)
	if err != nil {
		return r, err
	}
	ctx = context.WithoutCancel(ctx)
	e.describe(ctx, back.ID)
	if back.Upstream != nil {
		e.checkInbound(ctx, back.ID)
		// A generic one that nobody has asked for yet waits for its credential.
		if state, err := e.store.SyncState(ctx, back.ID); err == nil && state.Wanted > 0 {
			e.requestSync(ctx, back.ID, schedule.TriggerRecovery)
		}
	}
	if what, err := e.repos.Absent(back.ID); what != "" || err != nil {
		e.rebuild.Suspect(back.ID, "it was brought back")
	}
	e.usage.Due(back.ID)
	e.maintain.Due(back.ID)
	e.log.Info("repository undeleted", "repo_id", back.ID, "org", back.Org, "name", back.Name)
	return back, nil
}

// PurgeDeleted removes a repository from the trash for good. KindNotFound: it is not in
// it any more.
func (e *Engine) PurgeDeleted(ctx context.Context, r core.Repository) error {
	if err := e.repos.Purge(context.WithoutCancel(ctx), r.ID); err != nil {
		return err
	}
	e.log.Info("deleted repository removed for good", "repo_id", r.ID, "org", r.Org, "name", r.Name)
	return nil
}
