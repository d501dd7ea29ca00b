package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
)

func newReadOnlyCommand() *cobra.Command {
	var data, reason string
	cmd := &cobra.Command{
		Use:   "read-only [on|off]",
		Short: "Have the server refuse writes during maintenance, or show whether it does",
		Long: `Switch the read-only mode of the server on this data directory, whether it runs or
not; a running one follows at the next request, and a restart keeps it. While it is
on, pushes and every call that changes something are answered 503 with the sentence
that the reason ends, and reads go on. Mirrors go on following their upstreams: to
stop them too, pause them (headwater repo pause --all).

Without a word, show how it is.`,
		Example: `  headwater read-only on --reason "the disk is replaced, until 14:00"
  headwater read-only off`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && args[0] != "on" && args[0] != "off" {
				return usagef("say headwater read-only on, or off", "one word at most, on or off")
			}
			if reason != "" && (len(args) == 0 || args[0] != "on") {
				return usagef("say headwater read-only on --reason TEXT", "a reason is for switching it on")
			}
			return withStore(cmd.Context(), data, func(ctx context.Context, s core.Store) error {
				if len(args) == 1 {
					mode, action := core.ReadOnlyMode{}, "server.writes"
					if args[0] == "on" {
						mode, action = core.ReadOnlyMode{Since: time.Now().UTC(), Reason: reason}, "server.readonly"
					}
					if err := auditedInAll(ctx, s, action, func(q core.Queries) error { return q.SetReadOnly(ctx, mode) }); err != nil {
						return err
					}
				}
				mode, err := s.ReadOnly(ctx)
				if err != nil {
					return err
				}
				if !mode.On() {
					return answer(cmd, readOnlyState{}, "The server takes writes.")
				}
				return answer(cmd, readOnlyState{true, new(core.Timestamp(mode.Since)), mode.Reason}, "Read-only since %s. Writers are answered: %s\nEnd it: headwater read-only off", mode.Since.Local().Format(time.RFC3339), mode.Sentence())
			})
		},
	}
	bindDataDir(cmd.Flags(), &data)
	cmd.Flags().StringVar(&reason, "reason", "", "a sentence for those who want to write: what is done, and until when")
	return cmd
}

// readOnlyState is the answer as JSON.
type readOnlyState struct {
	ReadOnly bool            `json:"read_only"`
	Since    *core.Timestamp `json:"since,omitempty"`
	Reason   string          `json:"reason,omitempty"`
}
