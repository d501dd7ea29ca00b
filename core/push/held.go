package push

import (
	"context"

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
func (s *Service) explainHeld(ctx context.Context, w Session, b *ballot, idx []int) {
	var rows map[string]core.Rewrite
	for _, i := range idx {
		if b.results[i].Reason != reasonUpstream {
			continue
		}
		if rows == nil {
			all, err := s.store.HeldRewrites(ctx, w.Repo.ID)
			if err != nil {
				s.log.Warn("cannot tell whether refs are held", "repo_id", w.Repo.ID, "error", err)
				return
			}
			rows = core.NewestHeld(all)
		}
		if _, held := rows[w.Updates[i].Name]; !held {
			continue
		}
		rules, err := s.repos.Rules(ctx, w.Repo)
		if err != nil {
			s.log.Warn("cannot read ref policies", "repo_id", w.Repo.ID, "error", err)
			return
		}
		switch rules.Action(w.Updates[i].Name) {
		case core.RefHold:
			b.set(i, core.KindStale, reasonHeld)
		case core.RefFreeze:
			b.set(i, core.KindStale, reasonFrozen)
		}
	}
}
