package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"

	"github.com/headwater-git/headwater/core"
)

func newRewriteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rewrite",
		Short: "See what was rewritten or deleted, and restore, approve or dismiss it",
		Long: `A rewrite is a forced move or a deletion of a branch or tag of a synced
repository. The old tip is kept for a while, unless a ref policy says otherwise,
and can be made a branch again. What a policy holds back waits here for you.`,
		RunE: needsSubcommand,
	}
	cmd.AddCommand(newRewriteListCommand(), newRewriteShowCommand(), newRewriteRestoreCommand(), newRewriteApproveCommand(), newRewriteDismissCommand(), newRewritePurgeCommand())
	return cmd
}

func newRewriteListCommand() *cobra.Command {
	var (
		o          connectOptions
		ref, state string
		asJSON     bool
	)
	cmd := &cobra.Command{
		Use:     "list REPO",
		Aliases: []string{"ls"},
		Short:   "List rewrites, newest first",
		Example: `  headwater rewrite list team/app
  headwater rewrite list team/app --state held,frozen
  headwater rewrite list team/app --ref main --json`,
		Args: exactArgs("REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			list := listing[rest.Rewrite]{
				header: "ID\tSTATE\tREF\tOLD\tNEW\tBY\tWHEN", none: "No rewrites.",
				row: func(table io.Writer, r rest.Rewrite) {
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.State, r.Ref, short(r.Old), short(r.New), r.Actor, r.CreatedAt.Local().Format(time.DateTime))
				},
			}
			err = list.print(cmd, asJSON, func(each func(rest.Rewrite) error) error {
				return c.rewrites(cmd.Context(), args[0], ref, state, each)
			})
			return c.explain(err, "list rewrites of "+args[0])
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().StringVar(&ref, "ref", "", "only of this branch, or of a ref by its full name")
	cmd.Flags().StringVar(&state, "state", "", "only in these states, with commas between")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}

// short is an id for people; "gone" stands for none.
func short(id string) string {
	if strings.Trim(id, "0") == "" {
		return "gone"
	}
	return id[:min(len(id), 12)]
}

// shortOld is short for what was there before a change; "new" stands for none.
func shortOld(id string) string {
	if strings.Trim(id, "0") == "" {
		return "new"
	}
	return short(id)
}

func newRewriteShowCommand() *cobra.Command {
	var (
		o      connectOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:     "show REPO ID",
		Short:   "Show a rewrite",
		Example: "  headwater rewrite show team/app rw_01h455vb4pex5vsknk084sn02q",
		Args:    exactArgs("REPO", "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			r, err := c.GetRewrite(cmd.Context(), args[0], args[1], c.as(args[0], access.GitRead))
			if err != nil {
				return c.explain(err, "show "+args[1])
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			}
			return printTyped(cmd, func(out io.Writer) error { return printRewrite(out, args[0], r) })
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printRewrite prints a rewrite, and what can be done about it.
func printRewrite(w io.Writer, repo string, r rest.Rewrite) error {
	table := newTable(w)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, value)
		}
	}
	at := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return t.Local().Format(time.DateTime)
	}
	moved := r.New
	if strings.Trim(moved, "0") == "" {
		moved = "gone (deleted)"
	}
	row("id", r.ID)
	row("ref", r.Ref)
	row("state", r.State)
	row("old tip", r.Old)
	row("new tip", moved)
	row("by", r.Actor+" ("+r.Source+")")
	row("noticed", r.CreatedAt.Local().Format(time.DateTime))
	row("kept until", at(r.ExpiresAt))
	row("decided", at(r.DecidedAt))
	row("decided by", r.DecidedBy)
	row("restored as", r.RestoredBranch)
	if err := table.Flush(); err != nil {
		return err
	}
	var err error
	switch r.State {
	case "retained":
		_, err = fmt.Fprintf(w, "\nMake the old tip a branch: headwater rewrite restore %s %s BRANCH\n", core.ShellArg(repo), r.ID)
	case "held":
		_, err = fmt.Fprintf(w, "\nLet the ref move: headwater rewrite approve %[1]s %[2]s\nLeave it as it is: headwater rewrite dismiss %[1]s %[2]s\n", core.ShellArg(repo), r.ID)
	}
	return err
}

func newRewriteRestoreCommand() *cobra.Command {
	return newRewriteDecision(func(ctx context.Context, c *client, args []string, as rest.RequestEditorFn) (rest.Rewrite, error) {
		return c.RestoreRewrite(ctx, args[0], args[1], rest.RestoreRewriteRequest{Branch: &args[2]}, as)
	}, "restore REPO ID BRANCH", "Make the old tip of a rewrite a branch again",
		`The branch is made as a push would make it: in a synced repository it goes to
the upstream first.`,
		"  headwater rewrite restore team/app rw_01h455vb4pex5vsknk084sn02q main-before",
		func(r rest.Rewrite) string { return "Restored as the branch " + r.RestoredBranch + "." })
}

func newRewriteApproveCommand() *cobra.Command {
	return newRewriteDecision(func(ctx context.Context, c *client, args []string, as rest.RequestEditorFn) (rest.Rewrite, error) {
		return c.ApproveRewrite(ctx, args[0], args[1], as)
	}, "approve REPO ID", "Let a held ref move as the upstream moved it",
		`If the upstream has moved the ref again since, nothing happens: look at the
newer rewrite. The old tip is kept for a while, so this can be taken back.`,
		"  headwater rewrite approve team/app rw_01h455vb4pex5vsknk084sn02q",
		func(r rest.Rewrite) string { return r.Ref + " follows the upstream." })
}

func newRewriteDismissCommand() *cobra.Command {
	return newRewriteDecision(func(ctx context.Context, c *client, args []string, as rest.RequestEditorFn) (rest.Rewrite, error) {
		return c.DismissRewrite(ctx, args[0], args[1], as)
	}, "dismiss REPO ID", "Leave a held ref as it is, or let a kept tip go",
		`A held ref stays where it is, and the same move is not asked about again. The
old tip of a rewrite that is retained is let go now, before its time is over.`,
		"  headwater rewrite dismiss team/app rw_01h455vb4pex5vsknk084sn02q",
		func(rest.Rewrite) string { return "Dismissed." })
}

// decision calls the API with the arguments of a command.
type decision func(ctx context.Context, c *client, args []string, as rest.RequestEditorFn) (rest.Rewrite, error)

// newRewriteDecision makes the command of a decision.
func newRewriteDecision(decide decision, use, summary, long, example string, said func(rest.Rewrite) string) *cobra.Command {
	var o connectOptions
	words := strings.Fields(use)
	cmd := &cobra.Command{
		Use: use, Short: summary, Long: summary + ".\n\n" + long, Example: example, Args: exactArgs(words[1:]...),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			r, err := decide(cmd.Context(), c, args, c.as(args[0], access.GitWrite))
			if err != nil {
				return c.explain(err, words[0]+" "+args[1])
			}
			return answer(cmd, r, "%s", said(r))
		},
	}
	bindConnect(cmd, &o)
	return cmd
}
