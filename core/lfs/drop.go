package lfs

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
)

// dropPage is how many objects are dropped in one transaction.
const dropPage = 500

// Drop takes those objects away from a repository that were added before a time, and
// removes the bytes of those that no other repository has, without [Grace]. It returns how
// many objects the repository has lost.
func (s *Service) Drop(ctx context.Context, repo core.Repository, oids []string, before time.Time) (n int, err error) {
	for len(oids) > 0 {
		page := oids[:min(len(oids), dropPage)]
		oids = oids[len(page):]
		dropped, err := s.o.Store.DropLFSObjects(ctx, repo.ID, page, before)
		if err != nil {
			return n, err
		}
		n += dropped
		now := s.o.Clock.Now()
		unused, err := s.o.Store.MarkUnusedLFS(ctx, page, now, now)
		if err != nil {
			return n, err
		}
		for _, oid := range unused {
			if _, err := s.removeUnused(ctx, OID(oid)); err != nil {
				return n, err
			}
		}
	}
	if n > 0 {
		s.o.Changed(repo.ID)
	}
	return n, nil
}
