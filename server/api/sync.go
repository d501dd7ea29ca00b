package api

import (
	"context"
	"net/http"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/engine"
)

// Syncs requests syncs of repositories and tells how they went.
type Syncs interface {
	// PullUpstream requests a sync and returns at once: it has ended, well or not,
	// when [core.SyncState.Tried] has reached wanted. KindInvalid: no upstream
	// configured, or a bad ref.
	PullUpstream(ctx context.Context, repo core.Repository, ref, trigger string) (wanted int64, err error)
	SyncStatus(ctx context.Context, repo core.Repository) (engine.SyncStatus, error)
	Runs(ctx context.Context, repo core.Repository, before string, limit int) ([]core.Run, error)
}

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

func (s *server) getSync(c *call) error {
	if c.repo.Upstream == nil {
		return core.Errorf(core.KindInvalid, "%s", errNoUpstream)
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
	if c.repo.Upstream == nil {
		return core.Errorf(core.KindInvalid, "%s", errNoUpstream)
	}
	query := params{c.r.URL.Query()}
	page, err := query.page(runListing)
	if err != nil {
		return err
	}
	runs, err := s.Syncs.Runs(c.ctx(), c.repo, page.before, page.fetch())
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
