package mirror

import (
	"context"
	"slices"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/catfile"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/core/upstream"
)

// Plan is what a sync under some settings would do, each list by name.
type Plan struct {
	Created []core.RefUpdate
	Moved   []core.RefUpdate // fast-forward, or not known before the objects are here
	Forced  []core.RefUpdate // known to lose history
	Deleted []core.RefUpdate
	Held    []core.RefUpdate // what a policy, or an earlier decision, keeps where it is
}

// Plan lists the upstream and returns what a sync would do if the repository had
// these settings. See [Service.PlanFrom].
func (m *Mirror) Plan(ctx context.Context, r core.Repository, settings core.Settings) (Plan, error) {
	return m.PlanFrom(ctx, m.up, r, settings)
}

// PlanFrom lists the upstream of r and returns what a sync would do if the
// repository had that upstream and these settings: neither need be stored yet.
// It changes and fetches nothing. A move to an object that is not here yet counts
// as moved, also where a policy would hold it once it turns out to be forced.
// Errors: KindInvalid for settings that are none, or without upstream;
// KindConflict for an upstream whose objects have another format than those that
// are here; and what listing the upstream says, see [upstream.Failure].
func (m *Mirror) PlanFrom(ctx context.Context, from Lister, r core.Repository, settings core.Settings) (Plan, error) {
	if r.Upstream == nil {
		return Plan{}, core.Errorf(core.KindInvalid, "no upstream configured for this repository")
	}
	rules, err := repo.NewRules(r, settings)
	if err != nil {
		return Plan{}, err
	}
	sc, err := m.scopeOf(ctx, r, rules)
	if err != nil {
		return Plan{}, err
	}
	adv, err := list(ctx, from, r, sc)
	if err != nil {
		return Plan{}, upstream.Failure("plan a sync", err)
	}
	if err := m.sameFormat(ctx, r, adv.ObjectFormat); err != nil {
		return Plan{}, err
	}
	if _, err := m.skip(ctx, r, adv); err != nil {
		return Plan{}, err
	}
	refs, err := m.known(ctx, r.ID)
	if err != nil {
		return Plan{}, err
	}
	// As if the upstream had been fetched.
	for name := range refs {
		if !isPublic(name) {
			delete(refs, name)
		}
	}
	for name, id := range adv.Refs {
		if name != "HEAD" {
			refs[core.TrackingRef(name)] = id
		}
	}
	keep := keeps(r, sc, adv, refs, headWants(r, adv))
	d := diff(sc, refs, "", func(name string) bool { return name == keep })
	here, err := m.fetchedAlready(ctx, r, d.updates)
	if err != nil {
		return Plan{}, err
	}
	forced, err := m.repos.Forced(ctx, r.ID, here)
	if err != nil {
		return Plan{}, err
	}
	d.applyPolicies(sc, forced)
	d.dropConflictingCreates(keep)
	var p Plan
	for _, u := range d.updates {
		switch {
		case u.IsCreate():
			p.Created = append(p.Created, u)
		case u.IsDelete():
			p.Deleted = append(p.Deleted, u)
		case forced[u.Name]:
			p.Forced = append(p.Forced, u)
		default:
			p.Moved = append(p.Moved, u)
		}
	}
	for _, h := range d.held {
		p.Held = append(p.Held, h.RefUpdate)
	}
	slices.SortFunc(p.Held, byName)
	return p, nil
}

// sameFormat refuses an upstream whose objects cannot be beside those that are
// here. A repository without refs takes any format.
func (m *Mirror) sameFormat(ctx context.Context, r core.Repository, format string) error {
	if format == "" || format == r.ObjectFormat {
		return nil
	}
	if m.rebuilding(r) {
		return nil
	}
	refs, err := m.git.Refs(ctx, m.repos.Path(r.ID))
	if err != nil || len(refs) == 0 {
		return err
	}
	return core.Errorf(core.KindConflict, "the upstream has %s objects, and this repository has content in %s: they cannot be one repository", format, r.ObjectFormat)
}

// fetchedAlready returns the moves whose new objects are here, and those of tags,
// which need none to be known as forced.
func (m *Mirror) fetchedAlready(ctx context.Context, r core.Repository, updates []core.RefUpdate) ([]core.RefUpdate, error) {
	if m.rebuilding(r) {
		return nil, nil // nothing is
	}
	cat, err := catfile.Open(ctx, m.git, m.repos.Path(r.ID))
	if err != nil {
		return nil, err
	}
	defer cat.Close()
	var here []core.RefUpdate
	for _, u := range updates {
		if u.IsCreate() || u.IsDelete() {
			continue
		}
		found, err := cat.Info(ctx, string(u.New))
		if err != nil {
			return nil, err
		}
		if len(found) == 1 && found[0].ID != "" || isTag(u.Name) {
			here = append(here, u)
		}
	}
	return here, nil
}
