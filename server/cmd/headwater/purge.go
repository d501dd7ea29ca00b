package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"

	"github.com/headwater-git/headwater/core"
)

// purgeTimeout bounds a purge, which packs the repository anew.
const purgeTimeout = 6 * time.Hour

func newRewritePurgeCommand() *cobra.Command {
	var (
		o           connectOptions
		all, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "purge REPO [ID]",
		Short: "Forget old tips on purpose: a secret that was rewritten away",
		Long: `Drop the kept old tip of one rewrite, or with --all of every one, and remove at once
whatever no ref leads to. What you name is forgotten: it is served and fetched by its
id only while a ref leads to it, so rewrite it away at the host first.

Waits up to a minute for pushes and syncs of the repository to end. This cannot be
taken back. Clones, forks, backups and the host itself are not reached, so change the
secret in any case.`,
		Example: `  headwater rewrite purge team/app rw_01h455vb4pex5vsknk084sn02q
  headwater rewrite purge team/app --all`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) == 2) {
				return usagef("name one, as headwater rewrite list shows it, or give --all", "say which rewrite is to be forgotten")
			}
			body := rest.PurgeRequest{All: &all}
			if !all {
				body = rest.PurgeRequest{ID: &args[1]}
			}
			c, err := o.connect()
			if err != nil {
				return err
			}
			c.http.Timeout = purgeTimeout
			r, err := c.PurgeRewrites(cmd.Context(), args[0], body, c.as(args[0], access.RepoWrite))
			if err != nil {
				return c.explain(err, "purge "+args[0])
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return json.NewEncoder(out).Encode(r)
			}
			if len(r.Rewrites) == 0 && r.Objects == 0 {
				fmt.Fprintln(out, "There was nothing to forget.")
			} else {
				fmt.Fprintf(out, "Forgotten: %s, %s. The disk has %s back.\n", core.Count(len(r.Rewrites), "kept tip"), core.Count(r.Objects, "object"), core.Count(r.Bytes, "byte"))
			}
			for _, ref := range r.StillReached {
				fmt.Fprintf(out, "Still served, since %s leads to it: rewrite or delete that, and purge again.\n", ref)
			}
			return nil
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().BoolVar(&all, "all", false, "forget every old tip that is kept, and everything else that no ref leads to")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
