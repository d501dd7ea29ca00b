package engine

import (
	"context"

	"github.com/headwater-git/headwater/core"
)

// checkContent is [rebuild.Service.Check], but for a repository whose upstream is
// gone: what can still be read of it is all there is.
func (e *Engine) checkContent(ctx context.Context, r core.Repository) error {
	err := e.rebuild.Check(r)
	if core.KindOf(err) != core.KindRebuilding {
		return err
	}
	state, serr := e.store.SyncState(ctx, r.ID)
	if serr != nil || !state.UpstreamState.Gone() {
		return err
	}
	if what, aerr := e.repos.Absent(r.ID); what != "" || aerr != nil {
		return err
	}
	return nil
}

// checkDetach refuses to forget the upstream of a repository whose content is to be
// fetched from there.
func (e *Engine) checkDetach(r core.Repository) error {
	if _, damaged := e.rebuild.Of(r); r.Upstream == nil || !damaged {
		return nil
	}
	return core.Errorf(core.KindConflict, "the content of this repository is not here, and without upstream and credential it could not be fetched again: "+
		"wait until it has been, re-point it, or delete it")
}
