package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core/access"
)

func newRepoOrphansCommand() *cobra.Command {
	var (
		o      connectOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "orphans REPO",
		Short: "List ephemeral branches whose base was rewritten away",
		Long: `List the ephemeral branches that were begun on a commit which a forced move or a
deletion took out of its branch. Rebase them, or delete them. BASE is the last
commit that such a branch shares with what the rewritten branch was.`,
		Example: "  headwater repo orphans team/app",
		Args:    exactArgs("REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			answer, err := c.ListOrphans(cmd.Context(), args[0], nil, c.as(args[0], access.GitRead))
			if err != nil {
				return c.explain(err, "list the orphans of "+args[0])
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return json.NewEncoder(out).Encode(answer)
			}
			if len(answer.Orphans) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "No orphans.")
				return nil
			}
			table := newTable(out)
			fmt.Fprintln(table, "BRANCH\tAT\tREWRITTEN\tBASE\tREWRITE")
			for _, branch := range answer.Orphans {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", branch.Branch, short(branch.ID), branch.Ref, short(branch.Base), branch.RewriteID)
			}
			if answer.HasMore {
				fmt.Fprintln(cmd.ErrOrStderr(), "There are more than these.")
			}
			return table.Flush()
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
