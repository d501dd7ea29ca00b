package mirror

import (
	"context"
	"slices"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/repo"
)

// heldRef is an update that a policy keeps from being made.
type heldRef struct {
	core.RefUpdate
	state core.RewriteState // held or frozen
	lfs   bool              // held until LFS objects are here
}

// applyPolicies takes out of the difference what the policies hold: with freeze every
// move and deletion, with hold those that lose history. A ref that the filter
// leaves out is taken away by a person's choice, so no policy holds that. forced
// are the updates that rewrite history.
func (d *difference) applyPolicies(sc scope, forced map[string]bool) {
	d.updates = slices.DeleteFunc(d.updates, func(u core.RefUpdate) bool {
		state := core.RewriteState("")
		switch action := sc.rules.Action(u.Name); {
		case u.IsCreate(), !sc.rules.Owns(u.Name), !sc.mirrors(u.Name):
		case action == core.RefFreeze:
			state = core.RewriteFrozen
		case action == core.RefHold && (u.IsDelete() || forced[u.Name]):
			state = core.RewriteHeld
		}
		if state == "" {
			return false
		}
		d.held = append(d.held, heldRef{RefUpdate: u, state: state})
		d.uncount(u)
		return true
	})
}

// dropConflictingCreates takes the creations out of the difference whose names conflict with
// refs that stay although the upstream has them no more: "a/b" cannot be where
// "a" is held. They come when that is decided, and hold up nothing until then.
func (d *difference) dropConflictingCreates(keep string) {
	stay := map[string]bool{}
	if keep != "" {
		stay[keep] = true
	}
	for _, h := range d.held {
		if h.IsDelete() {
			stay[h.Name] = true
		}
	}
	if len(stay) == 0 {
		return
	}
	d.updates = slices.DeleteFunc(d.updates, func(u core.RefUpdate) bool {
		if !u.IsCreate() || !conflicts(stay, u.Name) {
			return false
		}
		d.blocked++
		d.uncount(u)
		return true
	})
}

// conflicts reports whether the name is a folder of one of the refs, or they of
// it.
func conflicts(refs map[string]bool, name string) bool {
	for i, c := range name {
		if c == '/' && refs[name[:i]] {
			return true
		}
	}
	for ref := range refs {
		if strings.HasPrefix(ref, name+"/") {
			return true
		}
	}
	return false
}

// uncount takes an update back out of the numbers.
func (d *difference) uncount(u core.RefUpdate) {
	switch {
	case u.IsCreate():
		d.created--
	case u.IsDelete():
		d.deleted--
	default:
		d.updated--
	}
}

// heldRows returns the newest row of each ref of which a sync has to know what
// was decided: held, frozen, and held ones that were dismissed.
func heldRows(ctx context.Context, q interface {
	HeldRewrites(ctx context.Context, repoID string) ([]core.Rewrite, error)
}, repoID string) (map[string]core.Rewrite, error) {
	rows, err := q.HeldRewrites(ctx, repoID)
	if err != nil {
		return nil, err
	}
	return core.NewestHeld(rows), nil
}

// asks reports whether the row is the question about this update, answered or
// not.
func asks(row core.Rewrite, h heldRef) bool {
	return row.Old.Same(h.Old) && row.New.Same(h.New) && row.AwaitsLFS == h.lfs && (row.State == h.state || row.State == core.RewriteDismissed)
}

// recordHeld writes a row, and tells, for every held update that was not asked
// about yet, and ends the questions that the upstream has answered by moving on
// or back; follows says of one whose ref moves now to where the question says. With only,
// it knows of that ref alone. It returns how many are new.
func (m *Mirror) recordHeld(ctx context.Context, r core.Repository, only string, held []heldRef, follows func(core.Rewrite) bool) (int, error) {
	rows, err := heldRows(ctx, m.store, r.ID)
	if err != nil || len(rows) == 0 && len(held) == 0 {
		return 0, err
	}
	now := m.clock.Now()
	var fresh, over []core.Rewrite
	asked := map[string]bool{}
	for _, h := range held {
		row, ok := rows[h.Name]
		if ok && asks(row, h) {
			asked[h.Name] = true
			continue
		}
		fresh = append(fresh, core.Rewrite{
			ID: core.NewID("rw", now), RepoID: r.ID, Ref: h.Name, Old: h.Old, New: h.New,
			Source: core.SourceSync, Actor: core.SystemSubject, State: h.state, AwaitsLFS: h.lfs, CreatedAt: now,
		})
	}
	for ref, row := range rows {
		if asked[ref] || row.State == core.RewriteDismissed || only != "" && ref != only {
			continue
		}
		row.State, row.DecidedAt = core.RewriteReplaced, now
		if row.AwaitsLFS && follows(row) {
			row.State = core.RewriteFollowed
		}
		over = append(over, row)
	}
	if len(fresh)+len(over) == 0 {
		return 0, nil
	}
	return len(fresh), m.store.Tx(ctx, func(q core.Queries) error {
		for _, row := range over {
			if err := q.SaveRewrite(ctx, row); err != nil {
				return err
			}
		}
		for _, row := range fresh {
			if err := repo.RecordRewrite(ctx, q, r, row); err != nil {
				return err
			}
		}
		return nil
	})
}

// differing returns the refs that are not where a run after this listing would
// leave them: at the upstream's, or held.
func differing(refs map[string]core.ObjectID, listed map[string]core.ObjectID, held map[string]core.Rewrite) []string {
	var names []string
	tracked := 0
	for name, id := range listed {
		if name == "HEAD" {
			continue
		}
		tracked++
		at, ok := refs[core.TrackingRef(name)]
		if !ok {
			tracked--
		}
		if at != id {
			names = append(names, name)
			continue
		}
		if at := refs[name]; at != id {
			if row, ok := held[name]; !ok || row.Old != at || row.New != id {
				names = append(names, name)
			}
		}
	}
	for name, id := range refs {
		if strings.HasPrefix(name, core.TrackingPrefix) {
			tracked--
			continue
		}
		if _, ok := listed[name]; ok {
			continue
		}
		if row, ok := held[name]; !ok || row.Old != id || !row.New.IsZero() {
			names = append(names, name)
		}
	}
	if tracked == 0 {
		return names
	}
	for name := range refs {
		if short, ok := strings.CutPrefix(name, core.TrackingPrefix); ok {
			if _, ok := listed["refs/"+short]; !ok {
				names = append(names, "refs/"+short)
			}
		}
	}
	return names
}
