package git

import (
	"context"
	"errors"

	"github.com/headwater-git/headwater/core"
)

// Complete reports whether an object is here with everything that it leads to.
// What a fetch left behind that git rejected is here without: the upstream did
// not have its whole history. Refs count as complete, which is what git itself
// goes by when it fetches and receives.
func (g *Git) Complete(ctx context.Context, dir string, id core.ObjectID) (bool, error) {
	err := g.Run(ctx, Command{
		Name: "rev-list", Dir: dir,
		// --quiet: nobody reads what it finds; with --objects git still looks
		// whether every file is there. The second --not ends the first.
		Flags: []string{"--objects", "--quiet", "--not", "--all", "--not"}, Args: []string{string(id)},
	})
	if exit, ok := errors.AsType[*ExitError](err); ok && exit.Code > 0 {
		return false, nil
	}
	return err == nil, err
}
