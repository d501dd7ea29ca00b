package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/headwater-git/headwater/core"
)

// manyOptions are the flags of a command that does to many repositories what it does to
// one.
type manyOptions struct {
	all    bool
	filter repoFilter
}

// bind adds the flags.
func (m *manyOptions) bind(f *pflag.FlagSet) {
	f.BoolVar(&m.all, "all", false, "every repository with an upstream that the following flags leave")
	m.filter.bind(f)
}

// args checks that the command names one repository or many.
func (m *manyOptions) args(cmd *cobra.Command, args []string) error {
	if m.all {
		return exactArgs()(cmd, args)
	}
	if m.filter.selects() {
		return usagef("add --all", "--state, --host and the like select among all repositories")
	}
	return exactArgs("REPO")(cmd, args)
}

// each does something to every repository that the flags select: a line for each, and
// one for all. One that fails keeps none of the others; the error says how many did.
func (m *manyOptions) each(cmd *cobra.Command, c *client, doing string, do func(name string) (done string, err error)) error {
	names, err := c.names(cmd.Context(), m.filter)
	if err != nil {
		return c.explain(err, "list repositories")
	}
	out := forPeople(cmd)
	failed := 0
	for _, name := range names {
		result, err := do(name)
		line := outcome{Repo: name, Result: result}
		if cmd.Context().Err() != nil {
			return cmd.Context().Err()
		}
		if err != nil {
			failed++
			line.Error = c.explain(err, doing+" "+name).Error()
			line.Result, result = "failed", "failed: "+line.Error
		}
		if err := answer(cmd, line, "%s: %s", name, result); err != nil {
			return err
		}
	}
	switch {
	case len(names) == 0:
		fmt.Fprintln(out, "No repository is so.")
	case failed > 0:
		return manyFailed(doing, failed, len(names))
	default:
		fmt.Fprintf(out, "%s.\n", core.Count(len(names), "repository"))
	}
	return nil
}
