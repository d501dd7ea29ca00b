package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
)

func newRepoCreateCommand() *cobra.Command {
	var (
		o      connectOptions
		branch string
	)
	cmd := &cobra.Command{
		Use:   "create REPO",
		Short: "Make an empty local repository",
		Long: `Make an empty repository that has no upstream: what is pushed to it stays here.
To copy a repository from its host instead: headwater mirror. To link this one to
a host later: headwater repo attach.`,
		Example: `  headwater repo create team/app
  headwater repo create team/app --default-branch trunk`,
		Args: exactArgs("REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := args[0]
			if err := core.ValidateRepositoryName(name); err != nil {
				return usagef("choose another name, like team/app", "cannot name the repository %q: %v", name, err)
			}
			c, err := o.connect()
			if err != nil {
				return err
			}
			created, err := c.createRepo(cmd.Context(), name, createRequest{DefaultBranch: branch})
			if err != nil {
				return c.explain(err, "create the repository "+name)
			}
			clone := c.cloneURL(created)
			fmt.Fprintf(cmd.OutOrStdout(), "Created. %s is at %s\n", name, clone)
			return printCloneHint(cmd, o, clone)
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().StringVar(&branch, "default-branch", "", "default branch (default: main, or what the first push brings)")
	return cmd
}
