package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
)

func newOrgLimitsCommand() *cobra.Command {
	var (
		data, disk             string
		repositories, requests int
		tokenRequests          int
		asJSON, publicRead     bool
	)
	cmd := &cobra.Command{
		Use:   "limits ORG",
		Short: "Show or set what an organisation may use",
		Long: `Without flags, show what an organisation uses and may use. Each flag sets one limit;
0 is none. They count within a second.

An organisation that has as many repositories as it may makes no more. One that uses
as much disk as it may gets neither pushes nor syncs: a push is refused before it is
stored, a sync fails with the class too_large, and is tried again when the limit is
raised. Whoever sends more requests a second than it may is answered 429 with the
time to wait; every answer has what is left in the headers RateLimit and
RateLimit-Policy. With --public-read=false none of its repositories is read without a
token, whatever their settings say.`,
		Example: `  headwater org limits acme
  headwater org limits acme --repositories 500 --disk 50GB
  headwater org limits acme --requests 200 --token-requests 20
  headwater org limits acme --disk 0
  headwater org limits acme --public-read=false`,
		Args: exactArgs("ORG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd.Context(), data, func(ctx context.Context, s core.Store) error {
				if err := knownOrg(ctx, s, args[0], "see: headwater org list"); err != nil {
					return err
				}
				limits, err := s.OrgLimits(ctx, args[0])
				if err != nil {
					return err
				}
				changed := limits
				f := cmd.Flags()
				if f.Changed("public-read") {
					changed.NoPublicRead = !publicRead
				}
				if f.Changed("disk") {
					if changed.DiskBytes, err = parseSize(disk); err != nil {
						return err
					}
				}
				for flag, set := range map[string]func(){
					"repositories":   func() { changed.Repositories = repositories },
					"requests":       func() { changed.Requests = requests },
					"token-requests": func() { changed.TokenRequests = tokenRequests },
				} {
					if f.Changed(flag) {
						set()
					}
				}
				if changed != limits {
					if err := setLimits(ctx, s, args[0], limits, changed); err != nil {
						return err
					}
				}
				return printLimits(ctx, cmd.OutOrStdout(), s, args[0], changed, asJSON)
			})
		},
	}
	f := cmd.Flags()
	bindDataDir(f, &data)
	f.IntVar(&repositories, "repositories", 0, "how many repositories it may have")
	f.StringVar(&disk, "disk", "", "how much disk its repositories may use, like 500MB or 50GB")
	f.IntVar(&requests, "requests", 0, "how many requests a second all its tokens may send")
	f.IntVar(&tokenRequests, "token-requests", 0, "how many requests a second one token may send")
	f.BoolVar(&publicRead, "public-read", true, "whether its mirrors of public upstreams may be read without a token, if their settings say so")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// setLimits sets limits, and has syncs tried again that failed for a smaller one.
func setLimits(ctx context.Context, s core.Store, org string, old, limits core.OrgLimits) error {
	if err := limits.Validate(); err != nil {
		return usagef("give a number of 0 or more; 0 is no limit", "%s", core.MessageOf(err))
	}
	return audited(ctx, s, org, "org.limits", "", func(q core.Queries) error {
		if err := q.SetOrgLimits(ctx, org, limits); err != nil {
			return err
		}
		if limits.DiskBytes != 0 && limits.DiskBytes <= old.DiskBytes {
			return nil
		}
		_, err := q.RetryTooLarge(ctx, org)
		return err
	})
}

func printLimits(ctx context.Context, out io.Writer, s core.Store, org string, l core.OrgLimits, asJSON bool) error {
	usage, err := s.OrgUsage(ctx, org)
	if err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(out).Encode(map[string]any{"organisation": org, "limits": l, "usage": map[string]any{
			"repositories": usage.Repositories, "disk_bytes": usage.DiskBytes,
		}})
	}
	number := func(n int) string {
		if n == 0 {
			return "no limit"
		}
		return strconv.Itoa(n)
	}
	size := "no limit"
	if l.DiskBytes > 0 {
		size = core.ByteSize(l.DiskBytes)
	}
	t := newTable(out)
	fmt.Fprintln(t, "WHAT\tUSED\tLIMIT")
	fmt.Fprintf(t, "repositories\t%d\t%s\n", usage.Repositories, number(l.Repositories))
	fmt.Fprintf(t, "disk\t%s\t%s\n", core.ByteSize(usage.DiskBytes), size)
	fmt.Fprintf(t, "requests a second\t\t%s\n", number(l.Requests))
	fmt.Fprintf(t, "reads without a token\t\t%s\n", map[bool]string{true: "forbidden", false: "as repositories are set"}[l.NoPublicRead])
	fmt.Fprintf(t, "requests a second of one token\t\t%s\n", number(l.TokenRequests))
	return t.Flush()
}

// parseSize is [core.ParseByteSize], with a next step.
func parseSize(text string) (int64, error) {
	n, err := core.ParseByteSize(text)
	if err != nil {
		return 0, usagef("write it like 500MB, 50GB or 2TiB; 0 is no limit", "%q is not a size", text)
	}
	return n, nil
}
