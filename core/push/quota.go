package push

import (
	"context"
	"fmt"

	"github.com/headwater-git/headwater/core"
)

// quotaLock is locked like a ref by sessions that make ephemeral branches where
// these are counted: two that each have room for one must not both take it. No
// ref has that name.
const quotaLock = core.EphemeralPrefix + "quota"

// quota returns how many ephemeral branches there may be, if the session makes
// some; 0 is no limit.
func (s *Service) quota(ctx context.Context, w Session, b *results) (int, error) {
	if w.Namespace != core.Ephemeral {
		return 0, nil
	}
	for _, u := range b.updates() {
		if u.IsCreate() {
			settings, err := s.store.Settings(ctx, w.Repo.ID)
			return settings.EphemeralQuota, err
		}
	}
	return 0, nil
}

// checkQuota refuses the creations that there is no room for, the last ones
// first. What the session deletes makes room.
func (s *Service) checkQuota(ctx context.Context, w Session, b *results, quota int) error {
	refs, err := s.git.RefMap(ctx, s.repos.Path(w.Repo.ID), core.EphemeralPrefix+"refs/heads/")
	if err != nil {
		return err
	}
	there := len(refs)
	for _, u := range b.updates() {
		if _, ok := refs[w.Namespace.Path(u.Name)]; ok && u.IsDelete() {
			there--
		}
	}
	for _, i := range b.pending() {
		_, exists := refs[w.Namespace.Path(w.Updates[i].Name)]
		if !b.open[i] || !w.Updates[i].IsCreate() || exists { // that one is stale
			continue
		}
		if there++; there > quota {
			b.refuse(i, core.KindConflict, fmt.Sprintf("the repository may have %d ephemeral branches and has them; delete one, or raise its ephemeral quota", quota))
		}
	}
	return nil
}
