package main

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

// deleted is the outcome of a deletion.
type deleted struct {
	outcome
	KeptUntil *core.Timestamp `json:"kept_until,omitempty"` // until when it can be brought back
}

func newRepoDeleteCommand() *cobra.Command {
	var (
		o        connectOptions
		yes, now bool
	)
	cmd := &cobra.Command{
		Use:   "delete REPO",
		Short: "Delete a repository here; its upstream is not touched",
		Long: `Delete a repository here, with its ephemeral branches, notes, settings and credential.
Its upstream is not touched, but for the webhook that the server registered there.

The name is free at once. For as long as the server keeps what is deleted (seven days,
unless headwater serve --keep-deleted says otherwise) headwater repo undelete brings all
of it back; its disk counts for the organisation until then. With --now it is removed at
once, also if it was deleted before.`,
		Example: `  headwater repo delete --yes team/app
  headwater repo delete --yes --now team/app`,
		Args: exactArgs("REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				next := "add --yes to delete " + args[0] + " with its ephemeral branches and notes"
				if now {
					return usagef(next, "deleting with --now cannot be undone")
				}
				return usagef(next, "deleting is undone only while the server keeps it: headwater repo undelete")
			}
			c, err := o.connect()
			if err != nil {
				return err
			}
			params := &rest.DeleteRepositoryParams{}
			if now {
				params.Now = &now
			}
			gone, err := c.DeleteRepository(cmd.Context(), args[0], params, c.as(args[0], access.RepoWrite))
			if now && isStatus(err, http.StatusNotFound) {
				if _, perr := c.PurgeDeletedRepository(cmd.Context(), args[0], c.as(args[0], access.RepoWrite)); perr != nil {
					return c.explain(perr, "delete "+args[0])
				}
				return answer(cmd, outcome{Repo: args[0], Result: "removed"}, "%s was in the trash, and is removed for good.", args[0])
			}
			if err != nil {
				return c.explain(err, "delete "+args[0])
			}
			done := deleted{outcome{Repo: args[0], ID: gone.RepoID, Result: "deleted"}, (*core.Timestamp)(gone.KeptUntil)}
			if gone.KeptUntil == nil {
				return answer(cmd, done, "%s is deleted for good.", args[0])
			}
			return answer(cmd, done, "%s is deleted. Until %s it can be brought back: headwater repo undelete %s", args[0], gone.KeptUntil.Local().Format(time.RFC3339), core.ShellArg(args[0]))
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().BoolVar(&yes, "yes", false, "really delete")
	cmd.Flags().BoolVar(&now, "now", false, "remove it at once: it cannot be brought back")
	return cmd
}

func newRepoUndeleteCommand() *cobra.Command {
	var (
		o  connectOptions
		as string
	)
	cmd := &cobra.Command{
		Use:   "undelete NAME|ID",
		Short: "Bring a deleted repository back",
		Long: `Bring a repository back that was deleted a while ago, with content, settings, credential,
ephemeral branches and notes. Its webhook is registered at the host again, and it is
synced. Of several of the same name the one that was deleted last comes back; an id
names another one. What there is: headwater repo list --deleted

If there is another repository of the name now, give it a new one with --as.`,
		Example: `  headwater repo undelete team/app
  headwater repo undelete team/app --as team/app-of-before`,
		Args: exactArgs("NAME|ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			r, err := c.UndeleteRepository(cmd.Context(), args[0], rest.UndeleteRequest{Name: optional(as)}, c.as(args[0], access.RepoWrite))
			switch {
			case isStatus(err, http.StatusNotFound):
				return wrapf(err, "see what can be brought back: headwater repo list --deleted", "cannot undelete %s", args[0])
			case isStatus(err, http.StatusConflict):
				return wrapf(err, "give it another name: headwater repo undelete --as NAME "+core.ShellArg(args[0]), "cannot undelete %s", args[0])
			case err != nil:
				return c.explain(err, "undelete "+args[0])
			}
			return answer(cmd, r, "%s is back. See it: headwater repo show %s", r.RepoName, core.ShellArg(r.RepoName))
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().StringVar(&as, "as", "", "bring it back under this name")
	return cmd
}

// deletedListing prints what is in the trash.
func deletedListing(now time.Time) listing[rest.Repository] {
	return listing[rest.Repository]{
		header: "NAME\tID\tUPSTREAM\tDELETED\tKEPT FOR\tSIZE", none: "Nothing is in the trash.",
		row: func(table io.Writer, r rest.Repository) {
			if r.DeletedAt == nil || r.KeptUntil == nil {
				return // brought back meanwhile
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s ago\t%s\t%s\n", r.RepoName, r.RepoID, upstreamOf(r), core.Ago(max(now.Sub(*r.DeletedAt), 0)),
				core.Ago(max(r.KeptUntil.Sub(now), 0)), sizeOf(r))
		},
	}
}
