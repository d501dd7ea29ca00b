package upstream

import (
	"context"

	"github.com/headwater-git/headwater/core"
)

// Admit is [Monitor.Confirm], and returns the repository as it is linked afterwards: what
// the host said may have been that it has another place. Errors: those of Confirm, and
// KindConflict if it was linked to another upstream meanwhile.
func (m *Monitor) Admit(ctx context.Context, r core.Repository) (core.Repository, error) {
	if err := m.Confirm(ctx, r); err != nil {
		return r, err
	}
	now, err := m.store.RepositoryByID(ctx, r.ID)
	if err != nil {
		return r, err
	}
	if !Same(r.Upstream, now.Upstream) {
		return r, core.Errorf(core.KindConflict, "the repository was linked to another upstream meanwhile; try again")
	}
	return now, nil
}

// Follow has the host asked, by [Monitor.Recheck], about an upstream that turned a write
// away with that failure. now is the repository as it is linked after that: at another
// place the write is worth a second attempt. refusal says what the host said of the
// upstream, if that explains the failure. The repository must have an upstream.
func (m *Monitor) Follow(ctx context.Context, r core.Repository, failure error) (now core.Repository, refusal error) {
	asked := m.Recheck(ctx, r, failure)
	now, err := m.store.RepositoryByID(ctx, r.ID)
	if err != nil || now.Upstream == nil || !Same(r.Upstream, now.Upstream) {
		return r, nil // the failure stands
	}
	if !asked || now.Upstream.URL != r.Upstream.URL {
		return now, nil
	}
	state, err := m.store.SyncState(ctx, now.ID)
	switch {
	case err != nil:
	case state.UpstreamState.Gone():
		return now, core.Errorf(core.KindUpstreamUnavailable, "%s", state.LastError)
	case state.UpstreamState == core.UpstreamArchived:
		return now, core.Errorf(core.KindUpstreamRejected, "the repository is archived at %s: it can be read and takes no pushes; unarchive it there first", now.Upstream.Host)
	}
	return now, nil
}

// TurnedAway reports whether a rename, another credential or the end of the upstream
// would explain a failure.
func TurnedAway(failure error) bool {
	if failure == nil {
		return false
	}
	switch class, _ := Classify(failure); class {
	case core.ClassMoved, core.ClassAuth, core.ClassRevoked, core.ClassNotFound, core.ClassRefused:
		return true
	}
	return false
}

// Same reports whether both links are to the same repository, wherever its host has it.
func Same(a, b *core.Upstream) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Instance != b.Instance || a.Mode != b.Mode {
		return false
	}
	return a.URL == b.URL || a.Host == b.Host && a.ID != "" && a.ID == b.ID
}
