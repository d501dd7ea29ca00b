package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	rest "github.com/headwater-git/headwater/server/client"
)

// whatChanged says in a few words what an entry is about.
func whatChanged(a rest.AuditEntry) string {
	var words []string
	if a.Target != "" {
		words = append(words, a.Target)
	}
	const most = 3
	for i, u := range a.Updates {
		if i == most {
			words = append(words, fmt.Sprintf("and %d more", len(a.Updates)-most))
			break
		}
		words = append(words, fmt.Sprintf("%s %s..%s", u.Ref, shortOld(u.OldSHA), short(u.NewSHA)))
	}
	if a.Message != "" {
		words = append(words, a.Message)
	}
	return strings.Join(words, "; ")
}

// printable is free text of somebody else on one line of a table.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

func newAuditCommand() *cobra.Command {
	var (
		o      connectOptions
		query  auditQuery
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "audit [REPO]",
		Short: "List who wrote what, newest first",
		Long: `List who wrote what, from where and with what outcome, newest first: in one
repository, or in the whole organisation, where entries outlive their repository.
Refused attempts with a valid token are listed too.`,
		Example: `  headwater audit
  headwater audit team/app --action push
  headwater audit --actor ci --limit 1000 --json`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) > 1:
				return usagef("see: headwater audit --help", "give one repository at most")
			case query.limit < 1:
				return usagef("leave it out for the newest 50", "--limit must be positive")
			case len(args) == 1:
				query.repo = args[0]
			}
			c, err := o.connect()
			if err != nil {
				return err
			}
			list := listing[rest.AuditEntry]{
				header: "WHEN\tWHO\tFROM\tACTION\tREPOSITORY\tOUTCOME\tWHAT", none: "No entries.",
				row: func(table io.Writer, a rest.AuditEntry) {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", a.At.Local().Format(time.DateTime), printable(a.Actor.Subject),
						a.Actor.RemoteAddr, a.Action, printable(a.RepoName), a.Outcome, printable(whatChanged(a)))
				},
			}
			err = list.print(cmd, asJSON, func(each func(rest.AuditEntry) error) error { return c.audit(cmd.Context(), query, each) })
			return c.explain(err, "list the audit")
		},
	}
	cmd.AddCommand(newAuditExportCommand())
	bindConnect(cmd, &o)
	cmd.Flags().StringVar(&query.actor, "actor", "", "only of this token subject")
	cmd.Flags().StringVar(&query.action, "action", "", "only of this action, for example push or credential.update")
	cmd.Flags().IntVar(&query.limit, "limit", 50, "how many entries at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}
