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

// Rebuild is what a person asks for a repository that may be damaged: one that waits
// is rebuilt, and any other is verified now. It returns what is wrong with it then, nil
// if nothing is. KindLocked: it is being repacked. KindResource: it could not be verified.
func (e *Engine) Rebuild(ctx context.Context, r core.Repository) (*core.Damage, error) {
	d, damaged, err := e.rebuild.GoOn(ctx, r)
	if err != nil || !damaged {
		return nil, err
	}
	return &d, nil
}

// Damage returns what is wrong with a repository's folder, else what was found wrong
// with it last and has ended; nil if nothing ever was.
func (e *Engine) Damage(ctx context.Context, r core.Repository) (*core.Damage, error) {
	if d, ok := e.rebuild.Of(r); ok {
		return &d, nil
	}
	d, err := e.store.LastDamage(ctx, r.ID)
	if core.KindOf(err) == core.KindNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &d, nil
}

// OpenDamage is Damage without what has ended.
func (e *Engine) OpenDamage(r core.Repository) *core.Damage {
	if d, ok := e.rebuild.Of(r); ok {
		return &d
	}
	return nil
}
