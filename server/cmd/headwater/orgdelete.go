package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/headwater-git/headwater/core"
)

// orgDeletion is what org delete answers with --json.
type orgDeletion struct {
	Name         string `json:"name"`
	Result       string `json:"result"`
	Repositories int    `json:"repositories"`
}

func newOrgDeleteCommand() *cobra.Command {
	var (
		data string
		yes  bool
	)
	cmd := &cobra.Command{
		Use:   "delete ORG",
		Short: "Delete an organisation with everything it has",
		Long: `Delete an organisation: its repositories, also those that were deleted and could be
brought back, keys, shared credentials, mirror sets, webhooks, limits, console sessions
and events. The audit stays. Upstreams are not touched, but for the webhooks that the
server registered there. It cannot be undone.

Its tokens open nothing within a second. A running server deletes the repositories one
after the other, and goes on at its next start if it is stopped; without one that begins
with the next start. The organisation is in headwater org list until all is done.`,
		Example: `  headwater org delete acme
  headwater org delete --yes acme`,
		Args: exactArgs("ORG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			org := args[0]
			return withStore(cmd.Context(), data, func(ctx context.Context, s core.Store) error {
				if err := knownOrg(ctx, s, org, "see: headwater org list"); err != nil {
					return err
				}
				usage, err := s.OrgUsage(ctx, org)
				if err != nil {
					return err
				}
				if !yes {
					question := fmt.Sprintf("Delete %s with %s for good? Type its name:", org, core.Count(usage.Repositories, "repository"))
					if err := confirmName(cmd, question, org); err != nil {
						return err
					}
				}
				err = audited(ctx, s, org, "org.delete", org, func(q core.Queries) error { return q.BeginDeleteOrg(ctx, org, time.Now().UTC()) })
				if err != nil {
					return err
				}
				return answer(cmd, orgDeletion{org, "deleting", usage.Repositories},
					"%s is being deleted with %s, by the server when it runs. It is gone when this does not list it: headwater org list", org, core.Count(usage.Repositories, "repository"))
			})
		},
	}
	bindDataDir(cmd.Flags(), &data)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask for the name")
	return cmd
}

// confirmName has a person at a terminal type a name. Programs say --yes.
func confirmName(cmd *cobra.Command, question, name string) error {
	f, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return failf("add --yes to delete it with everything it has", "nothing was deleted: there is no terminal to ask at")
	}
	fmt.Fprint(cmd.ErrOrStderr(), question+" ")
	typed, err := bufio.NewReader(f).ReadString('\n')
	if err != nil || strings.TrimSpace(typed) != name {
		return failf("type the name as it is, or add --yes", "nothing was deleted")
	}
	return nil
}
