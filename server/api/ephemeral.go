package api

import (
	"context"
	"net/http"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/ephemeral"
)

// Ephemeral answers for ephemeral branches as a whole. [*ephemeral.Service]
// implements it; see there for the errors.
type Ephemeral interface {
	Orphans(ctx context.Context, repo core.Repository) (found []ephemeral.Orphan, more bool, err error)
}

var _ Ephemeral = (*ephemeral.Service)(nil)

// orphanView is an ephemeral branch whose base was rewritten away.
type orphanView struct {
	Branch    string        `json:"branch"`
	ID        core.ObjectID `json:"id"`
	Ref       string        `json:"ref"` // that was rewritten
	RewriteID string        `json:"rewrite_id"`
	Base      core.ObjectID `json:"base"` // last commit that the branch shares with what the ref was
}

// orphanList is all that were looked for.
type orphanList struct {
	Orphans []orphanView `json:"orphans"`  // by name
	HasMore bool         `json:"has_more"` // than fit into an answer
}

func (s *server) listOrphans(c *call, _ params) error {
	if s.Ephemeral == nil {
		return core.Errorf(core.KindUnsupported, "this server keeps no rewrites")
	}
	found, more, err := s.Ephemeral.Orphans(c.ctx(), c.repo)
	if err != nil {
		return err
	}
	answer := orphanList{Orphans: []orphanView{}, HasMore: more}
	for _, o := range found {
		answer.Orphans = append(answer.Orphans, orphanView{
			Branch: o.Branch, ID: o.ID, Ref: o.Rewrite.Ref, RewriteID: o.Rewrite.ID, Base: o.Base,
		})
	}
	return c.answer(http.StatusOK, answer)
}
