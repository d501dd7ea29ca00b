package main

import (
	"net/http"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
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
			body := rest.CreateRepositoryRequest{DefaultBranch: optional(branch)}
			created, err := c.CreateRepository(cmd.Context(), nil, body, c.as(name, access.RepoWrite))
			if isStatus(err, http.StatusConflict) {
				return wrapf(err, "see its state: headwater repo show "+core.ShellArg(name), "create the repository %s", name)
			}
			if err != nil {
				return c.explain(err, "create the repository "+name)
			}
			clone := c.cloneURL(name, created.HTTPURL)
			if err := answer(cmd, created, "Created. %s is at %s", name, clone); err != nil || wantsJSON(cmd) {
				return err
			}
			return printCloneHint(cmd, o, clone)
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().StringVar(&branch, "default-branch", "", "default branch (default: main, or what the first push brings)")
	return cmd
}
