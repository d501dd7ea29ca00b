package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core/access"
)

// hookAnswer is how the host of a repository tells of changes.
type hookAnswer struct {
	State          string     `json:"state"`
	Message        string     `json:"message,omitempty"`
	LastDeliveryAt *time.Time `json:"last_delivery_at,omitempty"`
	LastMissedAt   *time.Time `json:"last_missed_at,omitempty"`
}

// String is one line for a person.
func (h hookAnswer) String() string {
	line := map[string]string{"active": "registered at the host", "failing": "cannot be registered", "none": "not registered"}[h.State]
	if line == "" {
		line = h.State
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

// hookAddress is the address of a repository's inbound webhook.
type hookAddress struct {
	URL string `json:"url"`
	hookAnswer
	Secret string `json:"secret,omitempty"` // only when it is new
}

func (c *client) inboundWebhook(ctx context.Context, method, name string) (hookAddress, error) {
	var out hookAddress
	err := c.do(ctx, apiCall{
		method: method, path: []string{"api", "repos", name, "inbound-webhook"}, repo: name, scopes: []access.Scope{access.RepoWrite},
	}, &out)
	return out, err
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
			method := http.MethodGet
			if rotate {
				method = http.MethodPost
			}
			w, err := c.inboundWebhook(cmd.Context(), method, args[0])
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

func printHookAddress(out io.Writer, w hookAddress) error {
	t := newTable(out)
	fmt.Fprintf(t, "URL\t%s\n", w.URL)
	if w.Secret != "" {
		fmt.Fprintf(t, "secret\t%s\n", w.Secret)
	}
	fmt.Fprintf(t, "state\t%s\n", w.hookAnswer)
	return t.Flush()
}

// replayAnswer is what came of a look for lost webhooks.
type replayAnswer struct {
	Since      time.Time `json:"since"`
	Failed     int       `json:"failed"`
	Replayed   int       `json:"replayed"`
	Incomplete bool      `json:"incomplete"`
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
			var r replayAnswer
			err = c.do(cmd.Context(), apiCall{
				method: http.MethodPost, path: []string{"providers", args[0], "replay"}, repo: orgClaim, scopes: []access.Scope{access.RepoWrite},
			}, &r)
			if err != nil {
				return c.explain(err, "replay the webhooks of "+args[0])
			}
			out := cmd.OutOrStdout()
			fmt.Fprintf(out, "%d webhook(s) lost since %s, %d sent again.\n", r.Failed, r.Since.Local().Format(time.RFC3339), r.Replayed)
			if r.Incomplete {
				fmt.Fprintln(out, "The host does not know all of them any more. Polling finds the rest; for one repository: headwater repo sync NAME")
			}
			return nil
		},
	}
	bindConnect(cmd, &o)
	return cmd
}
