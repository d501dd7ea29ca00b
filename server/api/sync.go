package api

import (
	"context"
	"net/http"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/engine"
	"github.com/headwater-git/headwater/core/schedule"
)

// Syncs knows how syncs of repositories went. [*engine.Engine] implements it.
type Syncs interface {
	SyncStatus(ctx context.Context, repo core.Repository) (engine.SyncStatus, error)
}

// Schedule takes requests of syncs.
type Schedule interface {
	// Request returns at once: the sync has ended, well or not, when
	// [core.SyncState.Tried] has reached wanted. With a ref, a branch or tag, it is of
	// that one. KindNotFound: the repository is not synced.
	Request(ctx context.Context, repoID, trigger, ref string) (wanted int64, err error)
}

var _ Schedule = (*schedule.Service)(nil)

// syncAnswer is the state of following an upstream, whole.
type syncAnswer struct {
	syncView
	Upstream baseRepoView `json:"upstream"`
	// LagSeconds is how long ago the upstream confirmed the copy, and Digest
	// what it listed then; "" if the copy has moved since.
	LagSeconds *int64 `json:"lag_seconds,omitempty"`
	Digest     string `json:"digest"`
}

// runList is a page of the run history.
type runList struct {
	Runs []runView `json:"runs"` // newest first
	pageFields
}

const errNoUpstream = "no upstream configured for this repository"

// synced is KindInvalid for a repository without upstream.
func (c *call) synced() error {
	if c.repo.Upstream == nil {
		return core.Errorf(core.KindInvalid, "%s", errNoUpstream)
	}
	return nil
}

func (s *server) getSync(c *call) error {
	if err := c.synced(); err != nil {
		return err
	}
	view, err := s.listItem(c, c.repo)
	if err != nil {
		return err
	}
	if view.Sync == nil {
		return core.Errorf(core.KindInvalid, "%s", errNoUpstream) // detached meanwhile
	}
	answer := syncAnswer{syncView: *view.Sync, Upstream: *view.BaseRepo}
	if s.Fresh != nil {
		f, err := s.Fresh.Freshness(c.ctx(), c.repo, core.Demand{})
		if err != nil {
			return err
		}
		tellFreshness(c.w.Header(), f)
		if !f.ObservedAt.IsZero() {
			answer.LagSeconds, answer.Digest = new(int64(f.Staleness/time.Second)), f.Digest
		}
	}
	return c.answer(http.StatusOK, answer)
}

func (s *server) listRuns(c *call) error {
	if err := c.synced(); err != nil {
		return err
	}
	query := params{c.r.URL.Query()}
	page, err := query.page(runListing)
	if err != nil {
		return err
	}
	runs, err := s.Records.Runs(c.ctx(), c.repo.ID, page.before, page.fetch())
	if err != nil {
		return err
	}
	runs, rest := cut(page, runs, func(r core.Run) string { return r.ID })
	answer := runList{Runs: []runView{}, pageFields: rest}
	for _, run := range runs {
		answer.Runs = append(answer.Runs, viewRun(run))
	}
	return c.answer(http.StatusOK, answer)
}
