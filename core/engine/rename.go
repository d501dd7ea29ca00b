package engine

import (
	"context"

	"github.com/headwater-git/headwater/core"
)

// RenameRepository gives a repository another name and returns it. Who uses the former
// name, in a remote, a token or a call, goes on reaching it until another repository is
// made by that name. Errors: those of [repo.Repos.Rename].
func (e *Engine) RenameRepository(ctx context.Context, r core.Repository, name string) (core.Repository, error) {
	renamed, err := e.repos.Rename(ctx, r, name)
	if err != nil {
		return r, err
	}
	e.describe(ctx, r.ID)
	e.log.Info("repository renamed", "repo_id", r.ID, "org", r.Org, "from", r.Name, "name", renamed.Name)
	return renamed, nil
}
