package lfs

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/loop"
)

const (
	// Grace is how long an object stays that no repository has.
	Grace = 7 * 24 * time.Hour
	// sweepEvery is the time between two looks for such objects.
	sweepEvery = 6 * time.Hour
	// sweepPage is how many objects are looked up at once.
	sweepPage = 500
)

// Run removes objects that no repository has until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	loop.Every(ctx, s.o.Clock, sweepEvery, func(ctx context.Context) {
		n, bytes, err := s.Sweep(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			s.o.Logger.Error("unused LFS objects could not be removed", "error", err)
		case n > 0:
			s.o.Logger.Info("unused LFS objects were removed", "objects", n, "bytes", bytes)
		}
	})
	return nil
}

// Sweep removes the objects that no repository has had for [Grace], and returns how many
// they were and their bytes.
func (s *Service) Sweep(ctx context.Context) (objects int, bytes int64, err error) {
	page := map[OID]int64{}
	clean := func() error {
		var oids []string
		for oid := range page {
			oids = append(oids, string(oid))
		}
		now := s.o.Clock.Now()
		old, err := s.o.Store.MarkUnusedLFS(ctx, oids, now, now.Add(-Grace))
		if err != nil {
			return err
		}
		for _, oid := range old {
			gone, err := s.removeUnused(ctx, OID(oid))
			if err != nil {
				return err
			}
			if gone {
				objects++
				bytes += page[OID(oid)]
			}
		}
		clear(page)
		return nil
	}
	err = s.blobs.Each(ctx, func(p Pointer) error {
		page[p.OID] = p.Size
		if len(page) < sweepPage {
			return nil
		}
		return clean()
	})
	if err == nil && len(page) > 0 {
		err = clean()
	}
	return objects, bytes, err
}

// removeUnused removes an object unless a repository has it now.
func (s *Service) removeUnused(ctx context.Context, oid OID) (bool, error) {
	s.adopting.Lock()
	defer s.adopting.Unlock()
	unused, err := s.o.Store.ForgetUnusedLFS(ctx, string(oid))
	if err != nil || !unused {
		return false, err
	}
	// A crash here leaves a file that the next sweep finds unused for the first time.
	return true, s.blobs.Remove(ctx, oid)
}

// Usage returns what a repository has of objects. Those that other repositories have,
// too, count for each.
func (s *Service) Usage(ctx context.Context, repoID string) (core.LFSUsage, error) {
	return s.o.Store.LFSUsage(ctx, repoID)
}
