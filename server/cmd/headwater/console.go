package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/server/console"
)

func newConsoleCommand() *cobra.Command {
	var data, base string
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Print a link that signs the machine's owner in to the console",
		Long: `Print a link to the console of the server, that signs you in as the owner of the
machine: of every organisation. It works once, within five minutes; the page behind it
names you and asks before it counts.

It works on the data directory, so whoever may write that may sign in so. Organisations
sign in with a token at /console.`,
		Example: `  headwater console
  headwater console --data /var/lib/headwater --url https://git.example.com`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := openDataDir(data)
			if err != nil {
				return err
			}
			if base == "" {
				if base, err = dir.address(); err != nil {
					return err
				}
			}
			secret, hash := console.NewSecret()
			now := time.Now().UTC()
			link := core.ConsoleLink{Hash: hash, Subject: operator("").Subject, ExpiresAt: now.Add(console.LinkLife)}
			if err := withStore(cmd.Context(), data, func(ctx context.Context, s core.Store) error { return s.AddConsoleLink(ctx, link) }); err != nil {
				return err
			}
			url := base + console.Prefix + "/link/" + secret
			return answer(cmd, map[string]any{"url": url, "expires_at": link.ExpiresAt}, "%s", url)
		},
	}
	bindDataDir(cmd.Flags(), &data)
	cmd.Flags().StringVar(&base, "url", "", "base URL of the server that your browser uses (default: the address of the running server)")
	return cmd
}
