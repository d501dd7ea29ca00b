package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

func newWebhookCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "webhook",
		Short: "Have events sent to a URL: subscribe, test, look at deliveries",
		RunE:  needsSubcommand,
	}
	cmd.AddCommand(newWebhookCreateCommand(), newWebhookListCommand(), newWebhookShowCommand(), newWebhookUpdateCommand(),
		newWebhookDeleteCommand(), newWebhookPingCommand(), newWebhookDeliveriesCommand(), newWebhookRedeliverCommand())
	return cmd
}

// knownEvents is for help texts.
func knownEvents() string { return strings.Join(core.EventTypes(), ", ") }

func newWebhookCreateCommand() *cobra.Command {
	var (
		o                connectOptions
		events           []string
		repo, secretFile string
		asJSON           bool
	)
	cmd := &cobra.Command{
		Use:   "create URL",
		Short: "Subscribe a URL to events",
		Long: `Have events of the organisation, or of one repository, sent to URL. The secret
that signs them is shown once, here; with --secret-file it is one of your own.

Events: ` + knownEvents() + `.`,
		Example: `  headwater webhook create https://example.com/hooks/headwater --event push --event repo.sync.failed
  headwater webhook create https://example.com/hooks/app --event push --repo team/app --secret-file ./secret`,
		Args: exactArgs("URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(events) == 0 {
				return usagef("add --event push, or another one of: "+knownEvents(), "no event given")
			}
			secret, err := readSecret(cmd, secretFile)
			if err != nil {
				return err
			}
			c, err := o.connect()
			if err != nil {
				return err
			}
			body := rest.CreateWebhookRequest{URL: args[0], Events: events}
			if repo != "" {
				body.Repo = &repo
			}
			if secret != "" {
				body.Secret = new(secret.Reveal())
			}
			w, err := c.CreateWebhook(cmd.Context(), body, c.as(orgClaim, access.RepoWrite))
			if err != nil {
				return c.explain(err, "create the webhook")
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(w)
			}
			if err := printWebhook(cmd.OutOrStdout(), rest.ChangedWebhook(w)); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "The secret is not shown again. Test it: %s\n", asTyped(cmd, "headwater webhook ping "+w.ID))
			return nil
		},
	}
	bindConnect(cmd, &o)
	f := cmd.Flags()
	f.StringArrayVar(&events, "event", nil, "type of event to send; may be repeated")
	f.StringVar(&repo, "repo", "", "only events of this repository")
	f.StringVar(&secretFile, "secret-file", "", "file with a secret of your own; - reads standard input (default: one is made)")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newWebhookListCommand() *cobra.Command {
	var (
		o      connectOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the organisation's webhooks, newest first",
		Example: "  headwater webhook list",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			colours := coloursOf(cmd)
			list := listing[rest.Webhook]{
				header: "ID\t" + colours.header("STATE") + "\tREPO\tEVENTS\tURL", none: "No webhooks. Make one: headwater webhook create URL --event push",
				row: func(table io.Writer, w rest.Webhook) {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", w.ID, colours.state(string(w.State)), filterOf(w.Repo, w.RepoID), strings.Join(w.Events, ","), w.URL)
				},
			}
			err = list.print(cmd, asJSON, func(each func(rest.Webhook) error) error {
				all, err := c.ListWebhooks(cmd.Context(), c.as(orgClaim, access.OrgRead))
				for i := 0; err == nil && i < len(all.Webhooks); i++ {
					err = each(all.Webhooks[i])
				}
				return err
			})
			return c.explain(err, "list webhooks")
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}

func newWebhookShowCommand() *cobra.Command {
	var (
		o      connectOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show a webhook and how it is doing",
		Example: "  headwater webhook show wh_01k4v6e7",
		Args:    exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			w, err := c.GetWebhook(cmd.Context(), args[0], c.as(orgClaim, access.OrgRead))
			if err != nil {
				return c.explain(err, "show "+args[0])
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(w)
			}
			return printWebhook(cmd.OutOrStdout(), withoutSecret(w))
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newWebhookUpdateCommand() *cobra.Command {
	var (
		o                     connectOptions
		url, repo, secretFile string
		events                []string
		active, rotate        bool
	)
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "Change a webhook; what is not given stays",
		Example: `  headwater webhook update wh_01k4v6e7 --event push
  headwater webhook update wh_01k4v6e7 --active=false
  headwater webhook update wh_01k4v6e7 --rotate-secret`,
		Args: exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			secret, err := readSecret(cmd, secretFile)
			if err != nil {
				return err
			}
			if rotate && secret != "" {
				return usagef("give one of them", "--rotate-secret makes a secret, --secret-file brings one")
			}
			var body rest.UpdateWebhookRequest
			changed := cmd.Flags().Changed
			if changed("url") {
				body.URL = &url
			}
			if changed("event") {
				body.Events = &events
			}
			if changed("repo") {
				body.Repo = &repo
			}
			if changed("active") {
				body.Active = &active
			}
			if rotate || secret != "" {
				body.Secret = new(secret.Reveal()) // "" has one made
			}
			if body == (rest.UpdateWebhookRequest{}) {
				return usagef("see: headwater webhook update --help", "nothing to change")
			}
			c, err := o.connect()
			if err != nil {
				return err
			}
			w, err := c.UpdateWebhook(cmd.Context(), args[0], body, c.as(orgClaim, access.RepoWrite))
			if err != nil {
				return c.explain(err, "change "+args[0])
			}
			if wantsJSON(cmd) {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(w)
			}
			return printWebhook(cmd.OutOrStdout(), w)
		},
	}
	bindConnect(cmd, &o)
	f := cmd.Flags()
	f.StringVar(&url, "url", "", "another URL")
	f.StringArrayVar(&events, "event", nil, "type of event to send, in place of those so far; may be repeated")
	f.StringVar(&repo, "repo", "", "only events of this repository; empty for all")
	f.BoolVar(&active, "active", true, "switch it on or, with --active=false, off")
	f.BoolVar(&rotate, "rotate-secret", false, "make another secret, shown once")
	f.StringVar(&secretFile, "secret-file", "", "file with another secret of your own; - reads standard input")
	return cmd
}

func newWebhookDeleteCommand() *cobra.Command {
	var o connectOptions
	cmd := &cobra.Command{
		Use:     "delete ID",
		Short:   "Delete a webhook with its log",
		Example: "  headwater webhook delete wh_01k4v6e7",
		Args:    exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			if err := c.DeleteWebhook(cmd.Context(), args[0], c.as(orgClaim, access.RepoWrite)); err != nil {
				return c.explain(err, "delete "+args[0])
			}
			return answer(cmd, outcome{ID: args[0], Result: "deleted"}, "%s is deleted.", args[0])
		},
	}
	bindConnect(cmd, &o)
	return cmd
}

// filterOf is the repository of a webhook, for a table.
func filterOf(repo, repoID string) string {
	switch {
	case repo != "":
		return repo
	case repoID != "":
		return repoID + " (gone)"
	}
	return "(all)"
}

// withoutSecret is a webhook in the form of one that was changed.
func withoutSecret(w rest.Webhook) rest.ChangedWebhook {
	return rest.ChangedWebhook{
		Active: w.Active, CreatedAt: w.CreatedAt, Events: w.Events, FailingSince: w.FailingSince, ID: w.ID, LastAttemptAt: w.LastAttemptAt,
		LastError: w.LastError, LastSuccessAt: w.LastSuccessAt, Repo: w.Repo, RepoID: w.RepoID, State: w.State, UpdatedAt: w.UpdatedAt, URL: w.URL,
	}
}

// printWebhook prints a webhook for a person.
func printWebhook(out io.Writer, w rest.ChangedWebhook) error {
	t := newTable(out)
	row := func(name, value string) { fmt.Fprintf(t, "%s\t%s\n", name, value) }
	row("id", w.ID)
	row("url", w.URL)
	row("events", strings.Join(w.Events, ", "))
	row("repository", filterOf(w.Repo, w.RepoID))
	row("state", string(w.State))
	row("created", w.CreatedAt.Local().Format(time.RFC3339))
	for _, at := range []struct {
		name string
		at   *time.Time
	}{{"failing since", w.FailingSince}, {"last attempt", w.LastAttemptAt}, {"last success", w.LastSuccessAt}} {
		if at.at != nil {
			row(at.name, at.at.Local().Format(time.RFC3339))
		}
	}
	if w.LastError != "" {
		row("last error", w.LastError)
	}
	if w.Secret != "" {
		row("secret", w.Secret)
	}
	return t.Flush()
}
