package main

import (
	"net/http"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

func newRepoRenameCommand() *cobra.Command {
	var o connectOptions
	cmd := &cobra.Command{
		Use:   "rename REPO NEW-NAME",
		Short: "Give a repository another name",
		Long: `Give a repository another name here; its upstream is not touched. Remotes and tokens with
the former name go on working for it, until another repository is made by that name.
Webhooks and listings have the new one at once.`,
		Example: "  headwater repo rename team/app team/application",
		Args:    exactArgs("REPO", "NEW-NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			r, err := c.RenameRepository(cmd.Context(), args[0], rest.RenameRequest{Name: &args[1]}, c.as(args[0], access.RepoWrite))
			if isStatus(err, http.StatusConflict) {
				return wrapf(err, "choose another name; see which are taken: headwater repo list", "cannot rename %s", args[0])
			}
			if err != nil {
				return c.explain(err, "rename "+args[0])
			}
			return answer(cmd, r, "%s is %s now. Its URL: %s", args[0], r.RepoName, r.HTTPURL)
		},
	}
	bindConnect(cmd, &o)
	return cmd
}
