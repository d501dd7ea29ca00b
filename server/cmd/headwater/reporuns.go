package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

func newRepoRunsCommand() *cobra.Command {
	var (
		o      connectOptions
		limit  int
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "runs REPO",
		Short: "List the runs of a repository's sync, newest first",
		Long: `List the runs of a repository's sync: what caused each, what came of it, which
refs it created, updated, deleted, moved by force and left where they are by
policy, how much it received, how long its parts took, and what the host said if
it failed. Looks that found nothing new are not among them.`,
		Example: `  headwater repo runs team/app
  headwater repo runs team/app --limit 1000 --json`,
		Args: exactArgs("REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			list := listing[rest.SyncRun]{
				header: "STARTED\tTRIGGER\tOUTCOME\tNEW\tMOVED\tGONE\tFORCED\tHELD\tBYTES\tTOOK\tPARTS\tWHY", none: "No runs yet.",
				row: func(table io.Writer, r rest.SyncRun) { printRun(table, r) },
			}
			err = list.print(cmd, asJSON, func(each func(rest.SyncRun) error) error { return c.runs(cmd.Context(), args[0], limit, each) })
			return c.explain(err, "list the runs of "+args[0])
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().IntVar(&limit, "limit", 20, "at most this many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}

// printRun prints a run as a row of a table.
func printRun(w io.Writer, r rest.SyncRun) {
	trigger, outcome, took := r.Trigger, string(r.Outcome), "-"
	if r.Ref != "" {
		trigger += " " + r.Ref
	}
	if r.IsFirst {
		trigger += " (first)"
	}
	if outcome == "" {
		outcome = "running"
	}
	if r.FinishedAt != nil {
		took = milliseconds(r.DurationMs)
	}
	parts := make([]string, 0, len(r.Phases))
	for _, p := range r.Phases {
		parts = append(parts, p.Name+" "+milliseconds(p.DurationMs))
	}
	why := string(r.Class)
	if r.Error != "" {
		why += ": " + r.Error
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", r.StartedAt.Local().Format(time.DateTime), trigger, outcome,
		r.RefsCreated, r.RefsUpdated, r.RefsDeleted, r.RefsForced, r.RefsHeld, r.Bytes, took, strings.Join(parts, ", "), why)
}

func milliseconds(n int64) string { return (time.Duration(n) * time.Millisecond).String() }

func newRepoEnsureCommand() *cobra.Command {
	var (
		o         connectOptions
		refs, ids []string
		timeout   time.Duration
		asJSON    bool
	)
	cmd := &cobra.Command{
		Use:   "ensure REPO",
		Short: "Wait until refs and commits of the upstream are here",
		Long: `Wait until a synced repository has what a build or a deployment needs. A ref with
an id is here once it has that commit; without one, once the upstream has
confirmed it after this call. An id that is on no branch any more is fetched by
itself, if the host serves that. What is here already is answered at once.

The exit code is 0 if all is here and 1 if not.`,
		Example: `  headwater repo ensure team/app --ref main
  headwater repo ensure team/app --ref main=4b825dc642cb6eb9a060e54bf8d69288fbee4904 --timeout 2m`,
		Args: exactArgs("REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(refs)+len(ids) == 0 {
				return usagef("add --ref NAME, --ref NAME=ID or --id ID", "nothing is asked for")
			}
			c, err := o.connect()
			if err != nil {
				return err
			}
			c.http.Timeout = timeout + callTimeout
			wanted := []rest.EnsureRef{}
			for _, text := range refs {
				name, id, _ := cutLast(text, "=")
				wanted = append(wanted, rest.EnsureRef{Name: &name, ID: optional(id)})
			}
			request := rest.EnsureRequest{Refs: &wanted, Ids: &ids, Timeout: new(timeout.String())}
			answer, err := c.ensure(cmd.Context(), args[0], request)
			late := isStatus(err, http.StatusGatewayTimeout)
			if err != nil && !late {
				return c.explain(err, "ensure what "+args[0]+" has")
			}
			out := cmd.OutOrStdout()
			if asJSON {
				if err := json.NewEncoder(out).Encode(answer); err != nil {
					return err
				}
			} else if err := printEnsured(out, answer); err != nil {
				return err
			}
			if late {
				return failf("see what is not as the upstream has it: headwater repo show "+core.ShellArg(args[0])+", and how its syncs went: headwater repo runs "+core.ShellArg(args[0]),
					"not everything that was asked for is here after %s", timeout)
			}
			return nil
		},
	}
	bindConnect(cmd, &o)
	f := cmd.Flags()
	f.StringArrayVar(&refs, "ref", nil, "NAME or NAME=ID of a branch or tag; may be repeated")
	f.StringArrayVar(&ids, "id", nil, "full id of a commit or other object; may be repeated")
	bindLife(f, &timeout, "timeout", 30*time.Second, "how long to wait at most")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printEnsured prints what is here and what is not.
func printEnsured(out io.Writer, a rest.Ensured) error {
	t := newTable(out)
	word := map[bool]string{true: "here", false: "missing"}
	for _, ref := range a.Refs {
		id := "-"
		if ref.ID != "" {
			id = ref.ID
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", word[ref.Here], ref.Name, id, ref.Reason)
	}
	for _, id := range a.Ids {
		fmt.Fprintf(t, "%s\t%s\t%s\n", word[id.Here], id.ID, id.Reason)
	}
	return t.Flush()
}

// ensure waits until everything is here. When the time is up it returns what is,
// beside the error.
func (c *client) ensure(ctx context.Context, name string, r rest.EnsureRequest) (rest.Ensured, error) {
	out, err := c.Ensure(ctx, name, r, c.as(name, access.GitRead))
	if e, ok := errors.AsType[*rest.Error](err); ok && e.Status == http.StatusGatewayTimeout {
		var late struct {
			Ensured *rest.Ensured `json:"ensured"`
		}
		// What a proxy has in its body says nothing.
		if json.Unmarshal(e.Body, &late) == nil && late.Ensured != nil {
			out = *late.Ensured
		}
	}
	return out, err
}
