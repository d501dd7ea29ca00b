package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/headwater-git/headwater/core"
	rest "github.com/headwater-git/headwater/server/client"
)

// repoFilter selects and sorts repositories; "" is all, and newest first.
type repoFilter struct {
	query, state, class, host, provider, sort string
}

// bind adds the flags that select.
func (f *repoFilter) bind(flags *pflag.FlagSet) {
	flags.StringVar(&f.query, "query", "", "only names that hold this text")
	flags.StringVar(&f.state, "state", "", "only in this state: ready, failing, paused, held, pending, syncing, unconfirmed, rebuilding, waiting or local")
	flags.StringVar(&f.class, "class", "", "only those whose last contact with the upstream failed like this: auth, not_found, network, ...")
	flags.StringVar(&f.host, "host", "", "only with an upstream at this host")
	flags.StringVar(&f.provider, "provider", "", "only with an upstream of this provider, by its kind or the name of its block")
}

// selects reports whether the filter leaves anything out.
func (f *repoFilter) selects() bool {
	return f.query != "" || f.state != "" || f.class != "" || f.host != "" || f.provider != ""
}

func newRepoListCommand() *cobra.Command {
	var (
		o       connectOptions
		filter  repoFilter
		asJSON  bool
		deleted bool
	)
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the organisation's repositories, newest first or as --sort says",
		Example: `  headwater repo list
  headwater repo list --state failing --class auth
  headwater repo list --host git.example.org --sort lag
  headwater repo list --query team/ --sort size --json
  headwater repo list --deleted`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			now, colours := time.Now(), coloursOf(cmd)
			if deleted {
				if filter.state != "" {
					return usagef("leave one of them out", "--deleted lists the trash, --state what is not in it")
				}
				filter.state = "deleted"
				err := deletedListing(now).print(cmd, asJSON, func(each func(rest.Repository) error) error { return c.repos(cmd.Context(), filter, each) })
				return c.explain(err, "list deleted repositories")
			}
			list := listing[rest.Repository]{
				header: "NAME\tBRANCH\tUPSTREAM\tSTATE\tLAG\tSIZE", none: "No repositories. Copy one from its host: headwater mirror URL, or make an empty one: headwater repo create NAME",
				row: func(table io.Writer, r rest.Repository) {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", r.RepoName, r.DefaultBranch, upstreamOf(r), colours.state(stateOf(r)), lagOf(r, now), sizeOf(r))
				},
			}
			if filter.selects() {
				list.none = "No repository is so."
			}
			err = list.print(cmd, asJSON, func(each func(rest.Repository) error) error { return c.repos(cmd.Context(), filter, each) })
			return c.explain(err, "list repositories")
		},
	}
	bindConnect(cmd, &o)
	filter.bind(cmd.Flags())
	cmd.Flags().StringVar(&filter.sort, "sort", "", "lag (the longest without a confirmation first), size, last-change, name or newest")
	cmd.Flags().BoolVar(&deleted, "deleted", false, "list what was deleted and can be brought back")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}

// lagOf is how long ago the upstream confirmed the copy, for a table.
func lagOf(r rest.Repository, now time.Time) string {
	switch {
	case r.Sync == nil:
		return "-"
	case r.Sync.ObservedAt == nil:
		return "never"
	}
	return core.Ago(max(now.Sub(*r.Sync.ObservedAt), 0))
}

// sizeOf is the size on disk, for a table.
func sizeOf(r rest.Repository) string {
	if r.DiskBytes == 0 {
		return "-" // not measured yet
	}
	return core.ByteSize(r.DiskBytes)
}

// names returns the names of what a filter selects, in its order. They are all read
// first: what is done to them may change what the filter selects.
func (c *client) names(ctx context.Context, f repoFilter) (all []string, err error) {
	err = c.repos(ctx, f, func(r rest.Repository) error {
		if r.Sync != nil {
			all = append(all, r.RepoName)
		}
		return nil
	})
	return all, err
}
