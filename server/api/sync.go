package api

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
)

// runsCursor tells cursors of the run history from other text.
const runsCursor = "runs:"

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
	Runs       []runView `json:"runs"` // newest first
	NextCursor string    `json:"next_cursor,omitempty"`
	HasMore    bool      `json:"has_more"`
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
	limit, err := query.limit(defaultLimit, maxLimit)
	if err != nil {
		return err
	}
	before, err := openCursor(runsCursor, query.Get("cursor"))
	if err != nil {
		return err
	}
	runs, err := s.Repositories.Runs(c.ctx(), c.repo, before, limit+1)
	if err != nil {
		return err
	}
	answer := runList{Runs: []runView{}}
	if len(runs) > limit {
		runs = runs[:limit]
		answer.HasMore, answer.NextCursor = true, sealCursor(runsCursor, runs[limit-1].ID)
	}
	for _, run := range runs {
		answer.Runs = append(answer.Runs, viewRun(run))
	}
	return c.answer(http.StatusOK, answer)
}

// sealCursor writes the cursor of a listing whose cursors have a prefix.
func sealCursor(prefix, id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(prefix + id))
}

// openCursor reads one, "" for none. Errors: KindInvalid.
func openCursor(prefix, cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	id, ok := strings.CutPrefix(string(text), prefix)
	if err != nil || !ok || id == "" {
		return "", core.Errorf(core.KindInvalid, "the parameter \"cursor\" is not one that this listing gave")
	}
	return id, nil
}
