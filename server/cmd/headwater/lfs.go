package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	rest "github.com/headwater-git/headwater/server/client"
)

func newLFSCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lfs",
		Short: "See which Git LFS objects a mirror lacks, and prune what no ref needs",
		RunE:  needsSubcommand,
	}
	cmd.AddCommand(newLFSPendingCommand(), newLFSPruneCommand())
	return cmd
}

func newLFSPendingCommand() *cobra.Command {
	var o connectOptions
	var failed, asJSON bool
	cmd := &cobra.Command{
		Use:   "pending REPO",
		Short: "List the LFS objects that a mirror has still to fetch",
		Long: `List the objects that a mirror with the setting lfs = mirror has still to fetch, each
with a path, and why it did not come so far. All of them are tried again by themselves;
headwater repo sync has that done at once.`,
		Example: `  headwater lfs pending team/app
  headwater lfs pending team/app --failed`,
		Args: exactArgs("REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			list := listing[rest.PendingLFS]{
				header: "OBJECT\tSIZE\tPATH\tSTATE", none: "Nothing is pending.",
				row: func(table io.Writer, p rest.PendingLFS) {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", p.Oid, core.ByteSize(p.Size), p.Path, pendingState(p))
				},
			}
			err = list.print(cmd, asJSON, func(each func(rest.PendingLFS) error) error {
				return c.pendingLFS(cmd.Context(), args[0], failed, each)
			})
			return c.explain(err, "list the LFS objects of "+args[0])
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	cmd.Flags().BoolVar(&failed, "failed", false, "only those that could not be fetched so far")
	return cmd
}

// pendingState says why an object is not here.
func pendingState(p rest.PendingLFS) string {
	switch {
	case p.Missing:
		return "missing: " + p.Error
	case p.Attempts > 0:
		return core.Count(p.Attempts, "failed attempt") + ": " + p.Error
	}
	return "waiting"
}

// printLFS prints what a mirror has still to fetch of LFS.
func printLFS(row func(name, format string, args ...any), s rest.LFSSync, repo string, now time.Time) {
	switch {
	case s.Objects > 0 && s.Round != nil:
		row("LFS", "%s (%s) to fetch, %d%% of %s done", core.Count(int(s.Objects), "object"), core.ByteSize(s.Bytes), s.Round.Percent, core.Count(int(s.Round.Objects), "object"))
	case s.Objects > 0:
		row("LFS", "%s (%s) to fetch", core.Count(int(s.Objects), "object"), core.ByteSize(s.Bytes))
	case s.ScannedAt == nil:
		row("LFS", "not looked for yet")
	case s.Missing == 0:
		row("LFS", "all objects are here")
	}
	if s.OldestAt != nil {
		row("LFS lag", "%s", core.Ago(max(now.Sub(*s.OldestAt), 0)))
	}
	if s.Missing > 0 {
		row("LFS missing", "%s the host does not have", core.Count(int(s.Missing), "object"))
	}
	if s.Missing+s.Failing > 0 {
		row("next", "%s", "see which, and why: headwater lfs pending --failed "+core.ShellArg(repo))
	}
}
