package main

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/providers"
	rest "github.com/headwater-git/headwater/server/client"

	"github.com/headwater-git/headwater/core"
)

func newCredentialCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "credential",
		Short: "Store the upstream credentials of repositories, and those that many share",
		RunE:  needsSubcommand,
	}
	cmd.AddCommand(newCredentialSetCommand(), newCredentialDeleteCommand(), newCredentialResealCommand())
	cmd.AddCommand(sharedCredentialCommands()...)
	return cmd
}

func newCredentialSetCommand() *cobra.Command {
	var (
		o                      connectOptions
		username, passwordFile string
	)
	cmd := &cobra.Command{
		Use:   "set REPO",
		Short: "Store or replace the credential",
		Long: `Store the user name and the password or token with which the server reads from
and writes to the upstream of REPO. It is encrypted at rest and never shown
again. Without --password-file it is read from standard input.`,
		Example: `  headwater credential set team/app --username river --password-file ./token
  pass show gitea/token | headwater credential set team/app`,
		Args: exactArgs("REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			secret, err := readSecret(cmd, passwordFile)
			if err != nil {
				return err
			}
			c, err := o.connect()
			if err != nil {
				return err
			}
			if err := c.setCredential(cmd.Context(), args[0], username, cmd.Flags().Changed("username"), secret); err != nil {
				return c.explain(err, "store the credential of "+args[0])
			}
			return answer(cmd, outcome{Repo: args[0], Result: "stored"}, "Stored. Use it: headwater repo sync --wait %s", core.ShellArg(args[0]))
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().StringVar(&username, "username", "", "user name at the host, if it wants one beside the token")
	cmd.Flags().StringVar(&passwordFile, "password-file", stdinFile, "file with the password or token; - reads standard input")
	return cmd
}

func newCredentialDeleteCommand() *cobra.Command {
	var o connectOptions
	cmd := &cobra.Command{
		Use:     "delete REPO",
		Short:   "Remove the credential",
		Example: "  headwater credential delete team/app",
		Args:    exactArgs("REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			if err := c.deleteCredential(cmd.Context(), args[0]); err != nil {
				return c.explain(err, "remove the credential of "+args[0])
			}
			return answer(cmd, outcome{Repo: args[0], Result: "removed"}, "Removed.")
		},
	}
	bindConnect(cmd, &o)
	return cmd
}

func (c *client) createCredential(ctx context.Context, name, username string, secret providers.Secret) error {
	body := rest.CreateCredentialRequest{Username: optional(username), Password: secret.Reveal()}
	_, err := c.CreateCredential(ctx, name, body, c.as(name, access.RepoWrite))
	return err
}

// setCredential creates the credential or replaces the one that is there. The
// old user name stays unless a new one was given.
func (c *client) setCredential(ctx context.Context, name, username string, setUsername bool, secret providers.Secret) error {
	err := c.createCredential(ctx, name, username, secret)
	if !isStatus(err, http.StatusConflict) {
		return err
	}
	id, err := c.credentialID(ctx, name)
	if err != nil {
		return err
	}
	body := rest.UpdateCredentialRequest{Password: secret.Reveal()}
	if setUsername {
		body.Username = &username
	}
	_, err = c.UpdateCredential(ctx, name, id, body, c.as(name, access.RepoWrite))
	return err
}

func (c *client) deleteCredential(ctx context.Context, name string) error {
	id, err := c.credentialID(ctx, name)
	if err != nil {
		return err
	}
	return c.DeleteCredential(ctx, name, id, c.as(name, access.RepoWrite))
}

// credentialID returns the id of the repository's credential.
func (c *client) credentialID(ctx context.Context, name string) (string, error) {
	r, err := c.GetRepository(ctx, name, c.as(name, access.GitRead))
	if err != nil {
		return "", err
	}
	if r.Credential == nil {
		return "", failf("store one: headwater credential set "+core.ShellArg(name), "%s has no stored credential", name)
	}
	return r.Credential.ID, nil
}
