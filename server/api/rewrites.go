package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/commit"
	"github.com/headwater-git/headwater/core/rewrite"
)

// Rewrites answers for forced moves and deletions of refs. [*rewrite.Service]
// implements it; see there for the errors.
type Rewrites interface {
	List(ctx context.Context, f core.RewriteFilter) ([]core.Rewrite, error)
	Get(ctx context.Context, repoID, id string) (core.Rewrite, error)
	Restore(ctx context.Context, c commit.Caller, id, branch string) (core.Rewrite, error)
	Approve(ctx context.Context, c commit.Caller, id string) (core.Rewrite, error)
	Dismiss(ctx context.Context, c commit.Caller, id string) (core.Rewrite, error)
}

var _ Rewrites = (*rewrite.Service)(nil)

// rewriteView is a rewrite in answers.
type rewriteView struct {
	ID             string            `json:"id"`
	Ref            string            `json:"ref"`
	Old            core.ObjectID     `json:"old"`
	New            core.ObjectID     `json:"new"` // zeros: deleted
	State          core.RewriteState `json:"state"`
	Source         core.Source       `json:"source"`
	Actor          string            `json:"actor"`
	Bytes          int64             `json:"bytes,omitempty"` // that the old tip alone holds
	CreatedAt      core.Timestamp    `json:"created_at"`
	ExpiresAt      *core.Timestamp   `json:"expires_at,omitempty"` // of a retained tip
	DecidedAt      *core.Timestamp   `json:"decided_at,omitempty"`
	DecidedBy      string            `json:"decided_by,omitempty"`
	RestoredBranch string            `json:"restored_branch,omitempty"`
}

// rewriteList is a page of rewrites.
type rewriteList struct {
	Rewrites []rewriteView `json:"rewrites"` // newest first
	pageFields
}

// restoreRewriteBody is the body of a restoration.
type restoreRewriteBody struct {
	Branch string `json:"branch"`
}

func viewRewrite(rw core.Rewrite) rewriteView {
	return rewriteView{
		ID: rw.ID, Ref: rw.Ref, Old: rw.Old, New: rw.New.OrZeros(rw.Old), State: rw.State, Source: rw.Source, Actor: rw.Actor, Bytes: rw.Bytes,
		CreatedAt: core.Timestamp(rw.CreatedAt), ExpiresAt: instant(rw.ExpiresAt), DecidedAt: instant(rw.DecidedAt), DecidedBy: rw.DecidedBy, RestoredBranch: rw.Restored,
	}
}

// rewriteService refuses if there is none.
func (s *server) rewriteService() (Rewrites, error) {
	if s.Rewrites == nil {
		return nil, core.Errorf(core.KindUnsupported, "this server keeps no rewrites")
	}
	return s.Rewrites, nil
}

func (s *server) listRewrites(c *call) error {
	service, err := s.rewriteService()
	if err != nil {
		return err
	}
	query := params{c.r.URL.Query()}
	f := core.RewriteFilter{RepoID: c.repo.ID, Ref: query.Get("ref")}
	if f.Ref != "" && !strings.HasPrefix(f.Ref, "refs/") {
		f.Ref = "refs/heads/" + f.Ref
	}
	if f.States, err = rewriteStates(query.Get("state")); err != nil {
		return err
	}
	page, err := query.page(rewriteListing)
	if err != nil {
		return err
	}
	f.Before, f.Limit = page.before, page.fetch()
	rows, err := service.List(c.ctx(), f)
	if err != nil {
		return err
	}
	rows, rest := cut(page, rows, func(r core.Rewrite) string { return r.ID })
	answer := rewriteList{Rewrites: []rewriteView{}, pageFields: rest}
	for _, row := range rows {
		answer.Rewrites = append(answer.Rewrites, viewRewrite(row))
	}
	return c.answer(http.StatusOK, answer)
}

// rewriteStates reads states with commas between. Errors: KindInvalid.
func rewriteStates(text string) ([]core.RewriteState, error) {
	if text == "" {
		return nil, nil
	}
	var states []core.RewriteState
	for word := range strings.SplitSeq(text, ",") {
		switch state := core.RewriteState(strings.TrimSpace(word)); state {
		case core.RewriteFollowed, core.RewriteRetained, core.RewriteHeld, core.RewriteFrozen, core.RewriteApproved,
			core.RewriteDismissed, core.RewriteReplaced, core.RewriteRestored, core.RewriteExpired:
			states = append(states, state)
		default:
			return nil, core.Errorf(core.KindInvalid, "the parameter \"state\" holds %q, which is no state of a rewrite", word)
		}
	}
	return states, nil
}

func (s *server) getRewrite(c *call) error {
	service, err := s.rewriteService()
	if err != nil {
		return err
	}
	id, err := c.segment("id")
	if err != nil {
		return err
	}
	row, err := service.Get(c.ctx(), c.repo.ID, id)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, viewRewrite(row))
}

func (s *server) restoreRewrite(c *call) error {
	var body restoreRewriteBody
	if err := c.body(&body); err != nil {
		return err
	}
	return decide(func(service Rewrites, ctx context.Context, caller commit.Caller, id string) (core.Rewrite, error) {
		return service.Restore(ctx, caller, id, body.Branch)
	})(s, c)
}

// decide makes an operation of a decision about a rewrite.
func decide(how func(service Rewrites, ctx context.Context, caller commit.Caller, id string) (core.Rewrite, error)) func(s *server, c *call) error {
	return func(s *server, c *call) error {
		service, err := s.rewriteService()
		if err != nil {
			return err
		}
		id, err := c.segment("id")
		if err != nil {
			return err
		}
		if err := s.Repositories.CheckReady(c.ctx(), c.repo); err != nil {
			return err
		}
		row, err := how(service, c.ctx(), c.caller(), id)
		if err != nil {
			return err
		}
		return c.answer(http.StatusOK, viewRewrite(row))
	}
}
