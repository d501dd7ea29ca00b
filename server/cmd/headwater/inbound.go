package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

// inboundLine says in one line how the host tells of changes.
func inboundLine(h rest.Inbound) string {
	line := map[rest.InboundState]string{"active": "registered at the host", "failing": "cannot be registered", "none": "not registered"}[h.State]
	if line == "" {
		line = string(h.State)
	}
	if h.Message != "" {
		line += ": " + h.Message
	}
	if h.LastDeliveryAt != nil {
		line += "; last one seen " + h.LastDeliveryAt.Local().Format(time.RFC3339)
	} else {
		line += "; none seen yet"
	}
	if h.LastMissedAt != nil {
		line += "; a poll found what it had missed " + h.LastMissedAt.Local().Format(time.RFC3339)
	}
	return line
}

// rotatedWebhook is a webhook without a new secret or with one.
type rotatedWebhook struct {
	rest.InboundWebhook
	Secret string `json:"secret,omitempty"`
}

// inboundWebhook returns the inbound webhook of a repository, after it was given
// a new secret if rotate says so.
func (c *client) inboundWebhook(ctx context.Context, name string, rotate bool) (rotatedWebhook, error) {
	as := c.as(name, access.RepoWrite)
	if !rotate {
		w, err := c.GetInboundWebhook(ctx, name, as)
		return rotatedWebhook{InboundWebhook: w}, err
	}
	w, err := c.RotateInboundWebhook(ctx, name, as)
	return rotatedWebhook{rest.InboundWebhook{
		CheckedAt: w.CheckedAt, LastDeliveryAt: w.LastDeliveryAt, LastMissedAt: w.LastMissedAt, Message: w.Message, State: w.State, URL: w.URL,
	}, w.Secret}, err
}

func newRepoWebhookCommand() *cobra.Command {
	var (
		o              connectOptions
		rotate, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "webhook REPO",
		Short: "Show where the host may deliver webhooks, or make a new secret",
		Long: `Show the address to which the host of the upstream may deliver webhooks, and
whether it does. At hosts that let a stored credential do so, the server
registers the webhook by itself. At others add the address by hand, as JSON and
for pushes, with the secret that --rotate prints: it is shown once. After a
rotation the old secret is accepted for a day more.`,
		Example: `  headwater repo webhook team/app
  headwater repo webhook --rotate team/app`,
		Args: exactArgs("REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			w, err := c.inboundWebhook(cmd.Context(), args[0], rotate)
			if err != nil {
				return c.explain(err, "find the webhook of "+args[0])
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(w)
			}
			return printHookAddress(cmd.OutOrStdout(), w)
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().BoolVar(&rotate, "rotate", false, "make a new secret and print it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printHookAddress(out io.Writer, w rotatedWebhook) error {
	t := newTable(out)
	fmt.Fprintf(t, "URL\t%s\n", w.URL)
	if w.Secret != "" {
		fmt.Fprintf(t, "secret\t%s\n", w.Secret)
	}
	fmt.Fprintf(t, "state\t%s\n", inboundLine(rest.Inbound{
		State: w.State, Message: w.Message, LastDeliveryAt: w.LastDeliveryAt, LastMissedAt: w.LastMissedAt,
	}))
	return t.Flush()
}

func newProviderReplayCommand() *cobra.Command {
	var o connectOptions
	cmd := &cobra.Command{
		Use:   "replay NAME",
		Short: "Have the host of a provider send lost webhooks again",
		Long: `Ask the host of a provider instance for the webhooks that it could not deliver,
and have it send them again. The server does so at its start and every hour.
Only hosts that keep such deliveries can, as GitHub does for Apps, for three
days.`,
		Example: "  headwater provider replay github-app",
		Args:    exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			r, err := c.ReplayDeliveries(cmd.Context(), args[0], c.as(orgClaim, access.RepoWrite))
			if err != nil {
				return c.explain(err, "replay the webhooks of "+args[0])
			}
			rest := ""
			if r.Incomplete {
				rest = "\nThe host does not know all of them any more. Polling finds the rest; for one repository: headwater repo sync NAME"
			}
			return answer(cmd, r, "Lost since %[2]s: %[1]s; sent again: %[3]d.%[4]s", core.Count(r.Failed, "webhook"), r.Since.Local().Format(time.RFC3339), r.Replayed, rest)
		},
	}
	bindConnect(cmd, &o)
	return cmd
}
