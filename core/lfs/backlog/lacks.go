package backlog

import (
	"context"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/lfs/scan"
)

// Lacks reports whether LFS objects of the tree of a commit, or of a tag of one, are not
// here that the upstream may have, and has them fetched. What the host says that it does
// not have is not lacked.
func (s *Service) Lacks(ctx context.Context, r core.Repository, tip core.ObjectID) (bool, error) {
	lacks, err := s.lacking(ctx, r, tip)
	if lacks {
		s.Applied(r.ID)
	}
	return lacks, err
}

func (s *Service) lacking(ctx context.Context, r core.Repository, tip core.ObjectID) (lacks bool, err error) {
	dir := s.o.Path(r.ID)
	uses, err := s.o.Scanner.Uses(ctx, dir, []core.ObjectID{tip})
	if err != nil || !uses {
		return false, err
	}
	err = s.o.Scanner.Tree(ctx, dir, tip, func(found []scan.Found) error {
		wanted := pendingOf(found)
		absent := map[string]bool{}
		var oids []string
		for _, p := range wanted {
			absent[p.OID] = true
			oids = append(oids, p.OID)
		}
		here, err := s.o.Store.HasLFSObjects(ctx, r.ID, oids)
		if err != nil {
			return err
		}
		for _, o := range here {
			delete(absent, o.OID)
		}
		if len(absent) == 0 {
			return nil
		}
		if _, err := s.o.Store.AddLFSPending(ctx, r.ID, wanted, s.o.Clock.Now()); err != nil {
			return err
		}
		pending, err := s.o.Store.PendingLFSOf(ctx, r.ID, oids)
		if err != nil {
			return err
		}
		for _, p := range pending {
			if !p.Missing {
				lacks = true
			}
		}
		return nil
	})
	return lacks, err
}

// release has a sync run if a ref that awaits objects need not any more.
func (s *Service) release(ctx context.Context, r core.Repository) error {
	rows, err := s.o.Store.HeldRewrites(ctx, r.ID)
	if err != nil {
		return err
	}
	for _, row := range core.NewestHeld(rows) {
		if !row.AwaitsLFS {
			continue
		}
		lacks, err := s.lacking(ctx, r, row.New)
		if err != nil {
			return err
		}
		if !lacks {
			s.o.Arrived(ctx, r.ID)
			return nil
		}
	}
	return nil
}
