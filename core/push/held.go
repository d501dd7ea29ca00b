package push

import (
	"context"
	"errors"
	"slices"

	"github.com/headwater-git/headwater/core"
)

// Why the upstream's version of a ref is not here, where a fetch would not help.
const (
	reasonHeld   = "the upstream has rewritten this ref, and a policy holds it here; approve the rewrite first"
	reasonFrozen = "the upstream has moved this ref, and a policy freezes it here; lift the policy first"
)

// explainHeld says of updates that were refused because the upstream has
// something else that it is held back from the client: "fetch first" would send
// it in circles. A failure leaves the reasons as they are.
func (s *Service) explainHeld(ctx context.Context, w Session, b *results, idx []int) {
	stale := slices.DeleteFunc(slices.Clone(idx), func(i int) bool { return b.list[i].Reason != reasonUpstream })
	if len(stale) == 0 {
		return
	}
	rows, err := s.store.HeldRewrites(ctx, w.Repo.ID)
	rules, rulesErr := s.repos.Rules(ctx, w.Repo)
	if err := errors.Join(err, rulesErr); err != nil {
		s.log.Warn("cannot tell whether refs are held", "repo_id", w.Repo.ID, "error", err)
		return
	}
	held := core.NewestHeld(rows)
	for _, i := range stale {
		name := w.Updates[i].Name
		if _, ok := held[name]; !ok {
			continue
		}
		switch rules.Action(name) {
		case core.RefHold:
			b.set(i, core.KindStale, reasonHeld)
		case core.RefFreeze:
			b.set(i, core.KindStale, reasonFrozen)
		}
	}
}
