package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

func newRepoRebuildCommand() *cobra.Command {
	var (
		o   connectOptions
		all bool
	)
	cmd := &cobra.Command{
		Use:   "rebuild REPO",
		Short: "Verify a repository and fetch it again if it is damaged, or say go on",
		Long: `Verify every object of a repository here. If it is damaged it is fetched from its
upstream again; a local one can only be restored from a backup.

A repository that waits, because many were missing at once as if a disk were not
mounted, is rebuilt without a question. --all says so for all that wait.`,
		Example: `  headwater repo rebuild team/app
  headwater repo rebuild --all`,
		Args: func(cmd *cobra.Command, args []string) error {
			if all {
				return exactArgs()(cmd, args)
			}
			return exactArgs("REPO")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			if !all {
				return rebuildOne(cmd, c, args[0])
			}
			waiting := 0
			err = c.repos(cmd.Context(), repoFilter{}, func(r rest.Repository) error {
				if r.Damage == nil || core.DamageState(r.Damage.State) != core.DamageWaiting {
					return nil
				}
				waiting++
				return rebuildOne(cmd, c, r.RepoName)
			})
			if err != nil {
				return c.explain(err, "rebuild what waits")
			}
			if waiting == 0 {
				fmt.Fprintln(forPeople(cmd), "No repository waits.")
			}
			return nil
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().BoolVar(&all, "all", false, "every repository that waits")
	return cmd
}

func rebuildOne(cmd *cobra.Command, c *client, name string) error {
	r, err := c.RebuildRepository(cmd.Context(), name, c.as(name, access.RepoWrite))
	if err != nil {
		return c.explain(err, "rebuild "+name)
	}
	switch d := r.Damage; {
	case d == nil || d.EndedAt != nil:
		return answer(cmd, r, "%s is whole.", name)
	case core.DamageState(d.State) == core.DamageRebuilding:
		return answer(cmd, r, "%s is being fetched from its upstream again. Watch it: headwater repo show %s", name, core.ShellArg(name))
	default:
		return answer(cmd, r, "%s: %s", name, d.Message)
	}
}

// printDamage prints what is, or was last, wrong with a repository's folder.
func printDamage(row func(name, format string, args ...any), d rest.Damage) {
	row("damage", "%s, found %s: %s", d.State, d.FoundAt.Local().Format(time.RFC3339), d.Message)
	if d.EndedAt == nil {
		return
	}
	ended := d.EndedAt.Local().Format(time.RFC3339)
	if core.DamageState(d.State) == core.DamageGone {
		row("damage ended", "%s, the folder was found whole", ended)
		return
	}
	row("damage ended", "%s, %s carried over from quarantine/%s", ended, core.Count(d.Carried, "ref"), d.Quarantine)
	for _, lost := range d.Lost {
		row("lost", "%s at %s", lost.Ref, lost.ID)
	}
}
