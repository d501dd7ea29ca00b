package lfs

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
)

// dropPage is how many objects are dropped in one transaction.
const dropPage = 500

// Leave takes those objects away from a repository that were added before a time, and
// leaves the bytes of those that no other repository has for [Grace]. It returns how many
// objects the repository has lost.
func (s *Service) Leave(ctx context.Context, repo core.Repository, oids []string, before time.Time) (n int, err error) {
	err = s.drop(ctx, repo, oids, before, Grace, &n)
	return n, err
}

// Drop takes those objects away from a repository that were added before a time, and
// removes the bytes of those that no other repository has, without [Grace]. It returns how
// many objects the repository has lost.
func (s *Service) Drop(ctx context.Context, repo core.Repository, oids []string, before time.Time) (n int, err error) {
	err = s.drop(ctx, repo, oids, before, 0, &n)
	return n, err
}

func (s *Service) drop(ctx context.Context, repo core.Repository, oids []string, before time.Time, grace time.Duration, n *int) error {
	for len(oids) > 0 {
		page := oids[:min(len(oids), dropPage)]
		oids = oids[len(page):]
		dropped, err := s.o.Store.DropLFSObjects(ctx, repo.ID, page, before)
		if err != nil {
			return err
		}
		*n += dropped
		now := s.o.Clock.Now()
		unused, err := s.o.Store.MarkUnusedLFS(ctx, page, now, now.Add(-grace))
		if err != nil {
			return err
		}
		for _, oid := range unused {
			if _, err := s.removeUnused(ctx, OID(oid)); err != nil {
				return err
			}
		}
	}
	if *n > 0 {
		s.o.Changed(repo.ID)
	}
	return nil
}
