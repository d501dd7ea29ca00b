package engine

import (
	"context"

	"github.com/headwater-git/headwater/core"
)

// checkInbound sees to the repository's inbound webhook soon. It must not fail
// what caused it: the next start does it again.
func (e *Engine) checkInbound(ctx context.Context, repoID string) {
	if err := e.inbound.Check(context.WithoutCancel(ctx), repoID); err != nil && core.KindOf(err) != core.KindNotFound {
		e.log.Error("cannot look at an inbound webhook", "repo_id", repoID, "error", err)
	}
}
