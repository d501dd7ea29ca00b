package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

// pingPatience is how long a ping is waited for; the server gives a receiver
// ten seconds.
const pingPatience = 30 * time.Second

func newWebhookPingCommand() *cobra.Command {
	var o connectOptions
	cmd := &cobra.Command{
		Use:     "ping ID",
		Short:   "Send a test delivery and say what the receiver answered",
		Example: "  headwater webhook ping wh_01k4v6e7",
		Args:    exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			d, err := c.PingWebhook(cmd.Context(), args[0], c.as(orgClaim, access.RepoWrite))
			if err != nil {
				return c.explain(err, "ping "+args[0])
			}
			if d, err = c.awaitDelivery(cmd.Context(), args[0], d.ID); err != nil {
				return c.explain(err, "ping "+args[0])
			}
			switch core.DeliveryState(d.State) {
			case core.DeliveryDelivered:
				return answer(cmd, d, "The receiver answered %d.", d.LastStatus)
			case core.DeliveryPending:
				return failf("look again: headwater webhook deliveries "+args[0], "the ping %s is still on its way", d.ID)
			}
			return failf("see: headwater webhook deliveries "+args[0]+" --json", "the ping failed: %s", d.LastError)
		},
	}
	bindConnect(cmd, &o)
	return cmd
}

// awaitDelivery waits until a delivery is settled, or for as long as a person
// would, and returns how it is then.
func (c *client) awaitDelivery(ctx context.Context, webhook, id string) (rest.Delivery, error) {
	ctx, cancel := context.WithTimeout(ctx, pingPatience)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		d, err := c.GetDelivery(ctx, webhook, id, c.as(orgClaim, access.OrgRead))
		if err != nil || core.DeliveryState(d.State) != core.DeliveryPending {
			return d, err
		}
		select {
		case <-ctx.Done():
			return d, nil
		case <-ticker.C:
		}
	}
}

func newWebhookDeliveriesCommand() *cobra.Command {
	var (
		o      connectOptions
		limit  int
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "deliveries ID",
		Short: "List what was sent, newest first",
		Example: `  headwater webhook deliveries wh_01k4v6e7
  headwater webhook deliveries wh_01k4v6e7 --limit 1 --json`,
		Args: exactArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return usagef("give a number from 1 on", "--limit must be positive")
			}
			c, err := o.connect()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			t := newTable(out)
			if !asJSON {
				fmt.Fprintln(t, "ID\tCREATED\tEVENT\tSTATE\tTRIES\tRESULT")
			}
			err = c.deliveries(cmd.Context(), args[0], limit, func(d rest.Delivery) error {
				if asJSON {
					return json.NewEncoder(out).Encode(d)
				}
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\n", d.ID, d.CreatedAt.Local().Format(time.DateTime), d.EventType, d.State, len(d.Attempts), asTyped(cmd, resultOf(args[0], d)))
				return nil
			})
			if err != nil {
				return c.explain(err, "list the deliveries of "+args[0])
			}
			return t.Flush()
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().IntVar(&limit, "limit", 20, "show this many at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line, with the bodies")
	return cmd
}

func newWebhookRedeliverCommand() *cobra.Command {
	var o connectOptions
	cmd := &cobra.Command{
		Use:     "redeliver ID DELIVERY",
		Short:   "Send a delivery again",
		Example: "  headwater webhook redeliver wh_01k4v6e7 dlv_01k4v6e8",
		Args:    exactArgs("ID", "DELIVERY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			d, err := c.Redeliver(cmd.Context(), args[0], args[1], c.as(orgClaim, access.RepoWrite))
			if err != nil {
				return c.explain(err, "send "+args[1]+" again")
			}
			return answer(cmd, d, "%s will be sent. See: headwater webhook deliveries %s", d.ID, args[0])
		},
	}
	bindConnect(cmd, &o)
	return cmd
}

// resultOf is what came of the last attempt of a webhook's delivery, for a table.
func resultOf(webhook string, d rest.Delivery) string {
	switch {
	case d.LastError != "" && d.State == rest.DeliveryStateFailed:
		return d.LastError + "; given up; once that is mended: headwater webhook redeliver " + webhook + " " + d.ID
	case d.LastError != "" && d.NextAttemptAt != nil:
		return d.LastError + "; next try " + d.NextAttemptAt.Local().Format(time.DateTime)
	case d.LastError != "":
		return d.LastError
	case d.LastStatus != 0:
		return fmt.Sprint(d.LastStatus)
	}
	return "-"
}
