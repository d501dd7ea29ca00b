package push

import (
	"context"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// checkForce refuses updates that rewrite history where the token forbids it. A
// forced push whose new tip descends from the old one passes.
func (s *Service) checkForce(ctx context.Context, w Session, b *results) error {
	var idx []int
	for _, i := range b.pending() {
		if u := w.Updates[i]; w.Policy.Rule(u.Name).NoForcePush && !u.IsCreate() {
			idx = append(idx, i)
		}
	}
	descends := s.descends(ctx, w, idx)
	for _, i := range idx {
		if !b.open[i] {
			continue
		}
		ok, err := descends(w.Updates[i])
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil || !ok {
			b.refuse(i, core.KindPermission, reasonPolicy)
		}
	}
	return nil
}

// descends returns what tells whether an update only adds to a ref: one walk for all
// where they are many, else a look for each.
func (s *Service) descends(ctx context.Context, w Session, idx []int) func(core.RefUpdate) (bool, error) {
	var moves []core.RefUpdate
	if len(idx) >= s.o.ManyRefs {
		for _, i := range idx {
			// A tag that moves counts as forced there, and may move on here.
			if u := w.Updates[i]; !u.IsDelete() && !strings.HasPrefix(u.Name, "refs/tags/") {
				moves = append(moves, u)
			}
		}
	}
	known := make(map[string]bool, len(moves)) // forced or not
	if forced, err := s.repos.Forced(ctx, w.Repo.ID, moves); err == nil {
		for _, u := range moves {
			known[u.Name] = forced[u.Name]
		}
	}
	return func(u core.RefUpdate) (bool, error) {
		if forced, ok := known[u.Name]; ok {
			return !forced, nil
		}
		return s.repos.Descends(ctx, w.Repo.ID, u.Old, u.New)
	}
}
