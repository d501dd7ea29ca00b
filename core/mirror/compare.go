package mirror

import (
	"context"
	"maps"
	"slices"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/repo"
)

// comparison is what a listing says of the copy.
type comparison struct {
	same bool // the copy shows what was listed
	// awaiting is set with same if refs are held until LFS objects are here: the copy will
	// not be as it should any more when they are.
	awaiting bool
	// inFlight are the refs that differ, where write sessions of our own have all
	// of them: the upstream shows what they have brought it already, and the copy
	// will when they end. There is nothing to fetch.
	inFlight []string
	// unsettled is set if refs differ of which nobody knows yet what became of their
	// last push; whoever finds out asks for a sync. There is nothing to fetch either.
	unsettled bool
}

// partly reports whether the copy is as it should be now, but not where the
// upstream is.
func (c comparison) partly() bool { return c.unsettled || len(c.inFlight) > 0 }

// compare compares a listing with what is here: by the digest of the last run,
// or, when pushes moved refs since or are about to, by looking.
func (m *Mirror) compare(ctx context.Context, r core.Repository, l *listing, state core.SyncState, watch *repo.Watch) (comparison, error) {
	if !slices.Equal(state.Skipped, l.skipped) {
		return comparison{}, nil
	}
	if state.Digest != "" && state.Digest == l.scope.digest(l.adv) {
		return comparison{same: true}, nil
	}
	sessions := watch.Sessions()
	if state.Digest != "" && !sessions || !state.Ready() || headWants(r, l.adv) != "" {
		return comparison{}, nil
	}
	held, err := heldRows(ctx, m.store, r.ID)
	if err != nil {
		return comparison{}, err
	}
	maps.DeleteFunc(held, func(_ string, row core.Rewrite) bool { return !l.scope.rules.Keeps(row) })
	if err := m.dropArrived(ctx, r, held); err != nil {
		return comparison{}, err
	}
	refs, err := m.known(ctx, r.ID)
	if err != nil {
		return comparison{}, err
	}
	names := differing(refs, l.adv.Refs, held)
	if len(names) == 0 {
		// The digest knows nothing of what a session brought, and goes with the
		// journal entry of it, which comes after its refs.
		return comparison{same: state.Digest == "" || sessions, awaiting: awaitsLFS(held)}, nil
	}
	moving := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return m.repos.Unsettled(r.ID, name) })
	for _, name := range moving {
		if !watch.Moved(name) {
			return comparison{}, nil
		}
	}
	return comparison{inFlight: moving, unsettled: len(moving) < len(names)}, nil
}
