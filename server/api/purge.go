package api

import (
	"context"
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/purge"
)

// Purges forgets on purpose. [*purge.Service] implements it; see there for the errors.
type Purges interface {
	Purge(ctx context.Context, c commit.Caller, q purge.Request) (purge.Result, error)
}

var _ Purges = (*purge.Service)(nil)

// purgeBody says what to forget: one of the two.
type purgeBody struct {
	ID  string `json:"id,omitempty"` // of a rewrite
	All bool   `json:"all,omitempty"`
}

// purgeAnswer is what was forgotten.
type purgeAnswer struct {
	Rewrites     []string `json:"rewrites"`      // ids of those whose kept tip was dropped
	Objects      int      `json:"objects"`       // removed
	Bytes        int64    `json:"bytes"`         // by which the repository is smaller on the disk
	StillReached []string `json:"still_reached"` // refs, and rewrites, that still lead to a tip that was named
}

func (s *server) purgeRewrites(c *call) error {
	if s.Purges == nil {
		return core.Errorf(core.KindUnsupported, "purges are not available on this server")
	}
	var body purgeBody
	if err := c.body(&body); err != nil {
		return err
	}
	if err := s.Repositories.CheckReady(c.ctx(), c.repo); err != nil {
		return err
	}
	r, err := s.Purges.Purge(c.ctx(), c.caller(), purge.Request{ID: body.ID, All: body.All})
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, purgeAnswer{Rewrites: orEmpty(r.Rewrites), Objects: r.Objects, Bytes: r.Bytes, StillReached: orEmpty(r.StillReached)})
}
