package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core/access"
)

// auditAnswer is an audit entry as the API tells it.
type auditAnswer struct {
	ID       string    `json:"id"`
	At       time.Time `json:"at"`
	Action   string    `json:"action"`
	Outcome  string    `json:"outcome"`
	Message  string    `json:"message,omitempty"`
	RepoID   string    `json:"repo_id,omitempty"`
	RepoName string    `json:"repo_name,omitempty"`
	Target   string    `json:"target,omitempty"`
	Actor    struct {
		Subject    string `json:"subject"`
		Org        string `json:"org"`
		KeyID      string `json:"key_id,omitempty"`
		RemoteAddr string `json:"remote_addr,omitempty"`
		UserAgent  string `json:"user_agent,omitempty"`
	} `json:"actor"`
	Credential string `json:"credential,omitempty"`
	HostLogin  string `json:"host_login,omitempty"`
	Updates    []struct {
		Ref string `json:"ref"`
		Old string `json:"old_sha"`
		New string `json:"new_sha"`
	} `json:"updates"`
}

// what says in a few words what an entry is about.
func (a auditAnswer) what() string {
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
		words = append(words, fmt.Sprintf("%s %s..%s", u.Ref, shortOld(u.Old), short(u.New)))
	}
	if a.Message != "" {
		words = append(words, a.Message)
	}
	return strings.Join(words, "; ")
}

// auditQuery selects audit entries.
type auditQuery struct {
	repo, actor, action string // "" is all
	limit               int
}

// audit lists audit entries newest first, page by page.
func (c *client) audit(ctx context.Context, query auditQuery, each func(auditAnswer) error) error {
	q := url.Values{}
	if query.actor != "" {
		q.Set("actor", query.actor)
	}
	if query.action != "" {
		q.Set("action", query.action)
	}
	call := apiCall{method: http.MethodGet, path: []string{"api", "audit"}, query: q, repo: orgClaim, scopes: []access.Scope{access.OrgRead}}
	if query.repo != "" {
		call.path, call.repo, call.scopes = []string{"api", "repos", query.repo, "audit"}, query.repo, []access.Scope{access.RepoWrite}
	}
	return pages(ctx, c, call, "entries", query.limit, each)
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
			list := listing[auditAnswer]{
				header: "WHEN\tWHO\tFROM\tACTION\tREPOSITORY\tOUTCOME\tWHAT", none: "No entries.",
				row: func(table io.Writer, a auditAnswer) {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", a.At.Local().Format(time.DateTime), printable(a.Actor.Subject),
						a.Actor.RemoteAddr, a.Action, printable(a.RepoName), a.Outcome, printable(a.what()))
				},
			}
			err = list.print(cmd, asJSON, func(each func(auditAnswer) error) error { return c.audit(cmd.Context(), query, each) })
			return c.explain(err, "list the audit")
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().StringVar(&query.actor, "actor", "", "only of this token subject")
	cmd.Flags().StringVar(&query.action, "action", "", "only of this action, for example push or credential.update")
	cmd.Flags().IntVar(&query.limit, "limit", 50, "how many entries at most")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}
