package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

func newLFSPruneCommand() *cobra.Command {
	var o connectOptions
	var dry, asJSON bool
	cmd := &cobra.Command{
		Use:   "prune REPO",
		Short: "Take the LFS objects away from a repository that no ref needs",
		Long: `Take the objects away from a repository that no ref of it needs: neither branches, tags and
other refs with their history, nor kept tips and ephemeral branches. What was sent or
offered within the last hour stays, since its ref may come next. The bytes of those that no
other repository has go after seven days. --dry-run shows first what would go.`,
		Example: `  headwater lfs prune team/app --dry-run
  headwater lfs prune team/app`,
		Args: exactArgs("REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			c.http.Timeout = purgeTimeout // it reads the whole history
			p, err := c.PruneLFS(cmd.Context(), args[0], &rest.PruneLFSParams{DryRun: &dry}, c.as(args[0], access.RepoWrite))
			if err != nil {
				return c.explain(err, "prune the LFS objects of "+args[0])
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return json.NewEncoder(out).Encode(p)
			}
			return printTyped(cmd, func(out io.Writer) error { return printPruned(out, p, args[0], dry) })
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show what would go, and change nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printPruned prints what a prune took away, or with dry what it would.
func printPruned(out io.Writer, p rest.PrunedLFS, repo string, dry bool) error {
	sum := fmt.Sprintf("%s, %s", core.Count(p.Count, "object"), core.ByteSize(p.Bytes))
	switch {
	case p.Count == 0:
		fmt.Fprintln(out, "Nothing to prune.")
		return nil
	case !dry:
		fmt.Fprintf(out, "Pruned: %s.\n", sum)
		return nil
	}
	table := newTable(out)
	fmt.Fprintln(table, "OBJECT\tSIZE")
	for _, object := range p.Objects {
		fmt.Fprintf(table, "%s\t%s\n", object.Oid, core.ByteSize(object.Size))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if more := p.Count - len(p.Objects); more > 0 {
		fmt.Fprintf(out, "and %s more\n", core.Count(more, "object"))
	}
	fmt.Fprintf(out, "No ref needs these: %s. Nothing was changed. Do it: headwater lfs prune %s\n", sum, core.ShellArg(repo))
	return nil
}
