package engine

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
)

// Pause has the upstream of a repository left alone until [Engine.Resume]: a run or look
// that is under way ends, none begins, and what webhooks announce waits. Reads go on with
// what is here. Pushes that would go to the upstream are refused. It is idempotent.
// Errors: KindInvalid if the repository has no upstream.
func (e *Engine) Pause(ctx context.Context, r core.Repository) (core.Repository, error) {
	return e.setPaused(ctx, r, e.clock.Now())
}

// Resume ends [Engine.Pause]. What was announced or requested meanwhile runs at once; so
// does a look that is due. It is idempotent. Errors: those of Pause.
func (e *Engine) Resume(ctx context.Context, r core.Repository) (core.Repository, error) {
	return e.setPaused(ctx, r, time.Time{})
}

func (e *Engine) setPaused(ctx context.Context, r core.Repository, at time.Time) (core.Repository, error) {
	if r.Upstream == nil {
		return r, core.Errorf(core.KindInvalid, "no upstream configured for this repository: there is nothing to pause")
	}
	// Between Halt and resume nothing starts that has read the row before the change.
	resume, err := e.schedule.Halt(ctx, r.ID)
	if err != nil {
		return r, err
	}
	defer resume()
	changed, err := e.store.SetPaused(ctx, r.ID, at)
	if err != nil {
		return r, err
	}
	if changed {
		e.log.Info("mirror paused or resumed", "repo_id", r.ID, "paused", !at.IsZero())
	}
	e.backlog.Applied(r.ID) // what waited meanwhile
	return e.store.RepositoryByID(ctx, r.ID)
}
