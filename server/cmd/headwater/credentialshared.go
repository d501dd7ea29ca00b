package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"

	"github.com/headwater-git/headwater/core"
)

// sharedCredentialCommands are the subcommands of credential about those of the whole
// organisation.
func sharedCredentialCommands() []*cobra.Command {
	return []*cobra.Command{
		newSharedCreateCommand(), newSharedListCommand(), newSharedShowCommand(), newSharedRotateCommand(), newSharedCheckCommand(),
		newSharedAssignCommand(), newSharedUnassignCommand(), newSharedRemoveCommand(),
	}
}

func newSharedCreateCommand() *cobra.Command {
	var (
		o                                connectOptions
		username, passwordFile, provider string
	)
	cmd := &cobra.Command{
		Use:   "create NAME URL",
		Short: "Store a credential that many repositories use",
		Long: `Store a credential of the organisation for the repositories of one owner: URL is
that of an organisation, group, workspace or user at a host. The host is asked
first; what it refuses is not stored. The credential is sent to repositories of
this owner, or of groups below it, and to no others. Only tokens of the
organisation assign it, and a repository that uses it cannot be pointed elsewhere
by its own token.`,
		Example: `  headwater credential create acme https://gitlab.com/acme --password-file ~/.secrets/gitlab
  headwater mirror --all https://gitlab.com/acme --credential acme`,
		Args: exactArgs("NAME", "URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			up, err := parseOwner(args[1])
			if err != nil {
				return err
			}
			secret, err := readSecret(cmd, passwordFile)
			if err != nil {
				return err
			}
			c, err := o.connect()
			if err != nil {
				return err
			}
			if username == "" {
				username = up.User
			}
			base, err := c.ownerRequest(cmd.Context(), up, provider, true)
			if err != nil {
				return err
			}
			made, err := c.CreateSharedCredential(cmd.Context(), rest.CreateSharedRequest{
				Name: &args[0], Provider: base.Provider, UpstreamHost: base.UpstreamHost, Owner: base.Owner,
				Username: optional(username), Password: new(secret.Reveal()),
			}, c.as(orgClaim, access.RepoWrite))
			if err != nil {
				return c.explain(err, "store the credential "+args[0])
			}
			return answer(cmd, made, "Stored, encrypted: %s is for %s/%s.%s\nUse it: headwater mirror --all %s --credential %s",
				made.Name, made.UpstreamHost, made.Owner, expiryText(made), args[1], made.Name)
		},
	}
	bindConnect(cmd, &o)
	f := cmd.Flags()
	f.StringVar(&username, "username", "", "user name at the host, if it wants one beside the token")
	f.StringVar(&passwordFile, "password-file", stdinFile, "file with the password or token; - reads standard input")
	f.StringVar(&provider, "provider", "", "provider of the host, like gitea")
	return cmd
}

// expiryText says when a credential expires, if the host does.
func expiryText(c rest.Shared) string {
	if c.ExpiresAt == nil {
		return ""
	}
	return " It expires on " + c.ExpiresAt.UTC().Format(time.DateOnly) + "."
}

func newSharedListCommand() *cobra.Command {
	var (
		o      connectOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the shared credentials of the organisation",
		Example: "  headwater credential list",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			all, err := c.ListSharedCredentials(cmd.Context(), c.as(orgClaim, access.OrgRead))
			if err != nil {
				return c.explain(err, "list the shared credentials")
			}
			list := listing[rest.Shared]{
				header: "NAME\tOWNER\tUSED BY\tEXPIRES\tWARNING",
				row: func(table io.Writer, s rest.Shared) {
					expires := "-"
					if s.ExpiresAt != nil {
						expires = s.ExpiresAt.UTC().Format(time.DateOnly)
					}
					fmt.Fprintf(table, "%s\t%s/%s\t%d\t%s\t%s\n", s.Name, s.UpstreamHost, s.Owner, s.UsedBy, expires, s.Warning)
				},
				none: "There are none. Store one: headwater credential create NAME URL --password-file FILE",
			}
			return list.print(cmd, asJSON, func(each func(rest.Shared) error) error {
				for _, one := range all.Credentials {
					if err := each(one); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}

// newSharedCommand is a command about one shared credential that does one call.
func newSharedCommand(cmd *cobra.Command, do func(ctx context.Context, cmd *cobra.Command, c *client, args []string) error) *cobra.Command {
	var o connectOptions
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := o.connect()
		if err != nil {
			return err
		}
		return do(cmd.Context(), cmd, c, args)
	}
	bindConnect(cmd, &o)
	return cmd
}

func newSharedShowCommand() *cobra.Command {
	return newSharedCommand(&cobra.Command{
		Use: "show NAME", Short: "Show a shared credential and the repositories that use it",
		Example: "  headwater credential show acme", Args: exactArgs("NAME"),
	}, func(ctx context.Context, cmd *cobra.Command, c *client, args []string) error {
		one, err := c.GetSharedCredential(ctx, args[0], c.as(orgClaim, access.OrgRead))
		if err != nil {
			return c.explain(err, "show the shared credential "+args[0])
		}
		if err := printShared(cmd, one); err != nil {
			return err
		}
		for _, name := range one.Repositories {
			fmt.Fprintf(forPeople(cmd), "  %s\n", name)
		}
		return nil
	})
}

func printShared(cmd *cobra.Command, one rest.Shared) error {
	err := answer(cmd, one, "%s is for %s/%s and used by %s.%s", one.Name, one.UpstreamHost, one.Owner, core.Count(one.UsedBy, "repository"), expiryText(one))
	out := forPeople(cmd)
	if one.Warning != "" {
		fmt.Fprintf(out, "Warning: %s\n", one.Warning)
	}
	if one.PreviousUntil != nil {
		fmt.Fprintf(out, "The secret of before is kept until %s.\n", one.PreviousUntil.UTC().Format(time.RFC3339))
	}
	return err
}

func newSharedRotateCommand() *cobra.Command {
	var (
		username, passwordFile string
		overlap                time.Duration
	)
	cmd := newSharedCommand(&cobra.Command{
		Use: "rotate NAME", Short: "Replace the secret of a shared credential",
		Long: `Replace the secret. The new one is tried with the owner and with some of the
repositories that use it; if the host refuses it, nothing is changed. The old one
is tried where the host refuses the new one, until the overlap has ended.`,
		Example: "  headwater credential rotate acme --password-file ./token --overlap 2h", Args: exactArgs("NAME"),
	}, func(ctx context.Context, cmd *cobra.Command, c *client, args []string) error {
		secret, err := readSecret(cmd, passwordFile)
		if err != nil {
			return err
		}
		body := rest.RotateSharedRequest{Password: new(secret.Reveal()), OverlapSeconds: new(int64(overlap / time.Second))}
		if cmd.Flags().Changed("username") {
			body.Username = &username
		}
		one, err := c.RotateSharedCredential(ctx, args[0], body, c.as(orgClaim, access.RepoWrite))
		if err != nil {
			return c.explain(err, "rotate the shared credential "+args[0])
		}
		return printShared(cmd, one)
	})
	f := cmd.Flags()
	f.StringVar(&username, "username", "", "user name at the host (default: as before)")
	f.StringVar(&passwordFile, "password-file", stdinFile, "file with the password or token; - reads standard input")
	bindLife(f, &overlap, "overlap", time.Hour, "how long the old secret is kept, 7d at most")
	return cmd
}

func newSharedCheckCommand() *cobra.Command {
	return newSharedCommand(&cobra.Command{
		Use: "check NAME", Short: "Ask the host about a shared credential",
		Example: "  headwater credential check acme", Args: exactArgs("NAME"),
	}, func(ctx context.Context, cmd *cobra.Command, c *client, args []string) error {
		one, err := c.CheckSharedCredential(ctx, args[0], c.as(orgClaim, access.RepoWrite))
		if err != nil {
			return c.explain(err, "check the shared credential "+args[0])
		}
		return printShared(cmd, one)
	})
}

func newSharedAssignCommand() *cobra.Command {
	return newAssignmentCommand("assign NAME [REPO...]", "Have repositories use a shared credential",
		"  headwater credential assign acme team/app team/lib\n  headwater credential assign acme --all --host git.example.org", "assign", "uses",
		func(ctx context.Context, c *client, name string, body rest.AssignRequest) (rest.Assigned, error) {
			return c.AssignSharedCredential(ctx, name, body, c.as(orgClaim, access.RepoWrite))
		})
}

func newSharedUnassignCommand() *cobra.Command {
	return newAssignmentCommand("unassign NAME [REPO...]", "Take a shared credential from repositories",
		"  headwater credential unassign acme team/app\n  headwater credential unassign acme --all --query team/", "unassign", "no longer uses",
		func(ctx context.Context, c *client, name string, body rest.AssignRequest) (rest.Assigned, error) {
			return c.UnassignSharedCredential(ctx, name, body, c.as(orgClaim, access.RepoWrite))
		})
}

func newAssignmentCommand(
	use, short, example, verb, now string, do func(ctx context.Context, c *client, name string, body rest.AssignRequest) (rest.Assigned, error),
) *cobra.Command {
	var many manyOptions
	cmd := newSharedCommand(&cobra.Command{Use: use, Short: short, Example: example, Args: func(cmd *cobra.Command, args []string) error {
		switch {
		case many.all && len(args) == 1:
			return nil
		case !many.all && many.filter.selects():
			return usagef("add --all", "--state, --host and the like select among all repositories")
		case many.all || len(args) < 2:
			return usagef(cmd.CommandPath()+" NAME REPO..., or with --all in the place of the repositories", "give the name of a shared credential, and repositories or --all")
		}
		return nil
	}}, func(ctx context.Context, cmd *cobra.Command, c *client, args []string) error {
		names := args[1:]
		if many.all {
			var err error
			if names, err = c.names(ctx, many.filter); err != nil {
				return c.explain(err, "list repositories")
			}
			if len(names) == 0 {
				fmt.Fprintln(forPeople(cmd), "No repository is so.")
			}
		}
		all := rest.Assigned{Assigned: []string{}, Failed: []rest.Assignment{}}
		var failure error
		for some := range slices.Chunk(names, assignedAtOnce) {
			result, err := do(ctx, c, args[0], rest.AssignRequest{Repositories: &some})
			if err != nil {
				failure = c.explain(err, verb+" the shared credential "+args[0])
				break
			}
			for _, name := range result.Assigned {
				fmt.Fprintf(forPeople(cmd), "%s %s %s\n", name, now, args[0])
			}
			for _, one := range result.Failed {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", one.Repository, one.Error)
			}
			all.Assigned, all.Failed = append(all.Assigned, result.Assigned...), append(all.Failed, result.Failed...)
		}
		if wantsJSON(cmd) && (failure == nil || len(all.Assigned)+len(all.Failed) > 0) { // one answer, of what has been done
			if err := answer(cmd, all, ""); err != nil {
				return err
			}
		}
		if failure != nil {
			return failure
		}
		if n := len(all.Failed); n > 0 {
			return failf("mend what is said above and run it again for those", "%d of %s failed", n, core.Count(len(names), "repository"))
		}
		return nil
	})
	many.bind(cmd.Flags())
	return cmd
}

// assignedAtOnce is how many repositories one call assigns a credential to.
const assignedAtOnce = 100

func newSharedRemoveCommand() *cobra.Command {
	return newSharedCommand(&cobra.Command{
		Use: "remove NAME", Short: "Delete a shared credential that no repository uses",
		Example: "  headwater credential remove acme", Args: exactArgs("NAME"),
	}, func(ctx context.Context, cmd *cobra.Command, c *client, args []string) error {
		if err := c.DeleteSharedCredential(ctx, args[0], c.as(orgClaim, access.RepoWrite)); err != nil {
			return c.explain(err, "delete the shared credential "+args[0])
		}
		return answer(cmd, outcome{ID: args[0], Result: "deleted"}, "Deleted.")
	})
}
