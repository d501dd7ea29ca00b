package lfs

import (
	"context"
	"io"

	"github.com/headwater-git/headwater/core"
)

// Source is an object whose bytes are at hand.
type Source struct {
	Pointer

	// Open reads the bytes from the first one; it may be called again.
	Open func() io.Reader
}

// Store takes objects as [Service.Put] does, and returns when the repository has all of
// them, and its upstream, if it has one. One batch asks the upstream about all; what is
// here and there is not sent again. Errors are those of [Service.Uploads] and
// [Service.Put]; what was stored before one stays until it is pruned.
func (s *Service) Store(ctx context.Context, repo core.Repository, ref string, sources []Source) error {
	pointers := make([]Pointer, len(sources))
	for i, source := range sources {
		pointers[i] = source.Pointer
	}
	answers, err := s.Uploads(ctx, repo, ref, pointers)
	if err != nil {
		return err
	}
	for _, a := range answers {
		if a.Err != nil {
			return a.Err // before anything is sent
		}
	}
	for i, a := range answers {
		if a.Present {
			continue
		}
		if err := s.Put(ctx, repo, a.Pointer, sources[i].Open()); err != nil {
			return err
		}
	}
	return nil
}
