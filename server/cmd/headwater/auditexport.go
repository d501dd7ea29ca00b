package main

import (
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

func newAuditExportCommand() *cobra.Command {
	var (
		o                    connectOptions
		since, until, output string
	)
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the audit of the organisation as JSON lines, newest first",
		Long: `Write every entry of the organisation's audit, a JSON object on each line, newest
first: all of it, or what lies between two times. A time is a date, or a date and
time as in RFC 3339.`,
		Example: `  headwater audit export --output audit.jsonl
  headwater audit export --since 2026-01-01 --until 2026-02-01 | gzip > january.jsonl.gz`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			query := rest.ExportAuditParams{}
			if query.Since, err = instantFlag("--since", since); err != nil {
				return err
			}
			if query.Until, err = instantFlag("--until", until); err != nil {
				return err
			}
			c, err := o.connect()
			if err != nil {
				return err
			}
			c.http.Timeout = 0                                                                                       // it takes as long as there is of it
			resp, err := rest.Check(c.API.Client.ExportAudit(cmd.Context(), &query, c.as(orgClaim, access.OrgRead))) //nolint:bodyclose // closed below, Check passes it on
			if err != nil {
				return c.explain(err, "export the audit")
			}
			defer func() { _ = resp.Body.Close() }()
			out := cmd.OutOrStdout()
			if output != "" {
				f, ferr := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
				if ferr != nil {
					return wrapf(ferr, "choose another file: it is never overwritten", "write the audit")
				}
				defer func() {
					if cerr := f.Close(); err == nil {
						err = cerr
					}
				}()
				out = f
			}
			if _, err := io.Copy(out, resp.Body); err != nil {
				return wrapf(err, "what was written is not whole; try again", "export the audit")
			}
			return nil
		},
	}
	bindConnect(cmd, &o)
	f := cmd.Flags()
	f.StringVar(&since, "since", "", "only what was written at this time or after it")
	f.StringVar(&until, "until", "", "only what was written before this time")
	f.StringVar(&output, "output", "", "write to this new file instead of standard output")
	return cmd
}

// instantFlag reads a flag with a date or a time; nil if it is not given.
func instantFlag(flag, text string) (*string, error) {
	if text == "" {
		return nil, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return new(at.Format(time.RFC3339)), nil
		}
	}
	return nil, usagef("write it like "+flag+" 2026-01-31 or "+flag+" 2026-01-31T12:00:00Z", "%s: %q is not a time", flag, text)
}
