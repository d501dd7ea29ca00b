package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/headwater-git/headwater/core"
)

// HasObject reports whether an object is here, by itself.
func (g *Git) HasObject(ctx context.Context, dir string, id core.ObjectID) (bool, error) {
	// -e prints nothing; the exit status is the answer.
	err := g.Run(ctx, Command{Name: "cat-file", Dir: dir, Flags: []string{"-e"}, Args: []string{string(id)}})
	if _, ok := errors.AsType[*ExitError](err); ok {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for object %s: %w", id, err)
	}
	return true, nil
}

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

// CompleteAll is Complete for several objects at once, without a ceiling of memory.
func (g *Git) CompleteAll(ctx context.Context, dir string, ids []core.ObjectID) (bool, error) {
	var in bytes.Buffer
	for _, id := range ids {
		fmt.Fprintln(&in, id)
	}
	err := g.Run(ctx, Command{
		Name: "rev-list", Dir: dir, Check: true, Stdin: &in,
		// As above; --stdin: thousands of ids do not fit a command line.
		Flags: []string{"--objects", "--quiet", "--not", "--all", "--not", "--stdin"},
	})
	if exit, ok := errors.AsType[*ExitError](err); ok && exit.Code > 0 {
		return false, nil
	}
	return err == nil, err
}
