package main

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"

	"github.com/headwater-git/headwater/core"
)

func newRepoPauseCommand() *cobra.Command {
	return newPauseCommand("pause", "Leave the upstream of repositories alone for a while",
		`Stop following the upstream until headwater repo resume: a sync that runs ends, none
begins, the upstream is not polled, and what its webhooks announce waits. Reads go on
with what is here. Pushes that would go to the upstream are refused; ephemeral
branches and notes that stay here are taken.`,
		`  headwater repo pause team/app
  headwater repo pause --all --host git.example.org`,
		"%s is paused. Follow its upstream again: headwater repo resume %s",
		func(ctx context.Context, c *client, name string) error {
			_, err := c.PauseRepository(ctx, name, c.as(name, access.RepoWrite))
			return err
		})
}

func newRepoResumeCommand() *cobra.Command {
	return newPauseCommand("resume", "Follow the upstream of paused repositories again",
		`Follow the upstream of a paused repository again. What was announced or requested
meanwhile runs at once.`,
		`  headwater repo resume team/app
  headwater repo resume --all --state paused`,
		"%s follows its upstream again. Watch it: headwater repo show %s",
		func(ctx context.Context, c *client, name string) error {
			_, err := c.ResumeRepository(ctx, name, c.as(name, access.RepoWrite))
			return err
		})
}

// newPauseCommand makes a command that does one thing to a repository or to many.
func newPauseCommand(word, short, long, example, sentence string, do func(ctx context.Context, c *client, name string) error) *cobra.Command {
	var (
		o    connectOptions
		many manyOptions
	)
	cmd := &cobra.Command{
		Use: word + " [REPO]", Short: short, Long: long, Example: example,
		Args: many.args,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			if !many.all {
				if err := do(cmd.Context(), c, args[0]); err != nil {
					return c.explain(err, word+" "+args[0])
				}
				return answer(cmd, outcome{Repo: args[0], Result: word + "d"}, sentence, args[0], core.ShellArg(args[0]))
			}
			return many.each(cmd, c, word, func(name string) (string, error) { return word + "d", do(cmd.Context(), c, name) })
		},
	}
	bindConnect(cmd, &o)
	many.bind(cmd.Flags())
	return cmd
}

func newRepoSyncCommand() *cobra.Command {
	var (
		o       connectOptions
		many    manyOptions
		wait    bool
		failing bool
		ref     string
	)
	cmd := &cobra.Command{
		Use:   "sync [REPO]",
		Short: "Fetch what is new from the upstream",
		Long: `Have the server fetch what is new from the upstream. With --all, mirrors that are
paused are skipped, and said so.`,
		Example: `  headwater repo sync octocat/Hello-World
  headwater repo sync --wait --ref main team/app
  headwater repo sync --all --failing
  headwater repo sync --all --host git.example.org --class auth`,
		Args: many.args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if failing && !many.all {
				return usagef("add --all, or name one repository without --failing", "--failing selects among all repositories")
			}
			if failing && many.filter.state != "" {
				return usagef("leave one of them out", "--failing and --state say the same thing twice")
			}
			c, err := o.connect()
			if err != nil {
				return err
			}
			if !many.all {
				return syncOne(cmd, c, args[0], ref, wait)
			}
			if wait {
				return usagef("leave --wait out; see how they are: headwater repo list --sort lag", "--wait follows one repository")
			}
			if failing {
				many.filter.state = "failing"
			}
			return many.each(cmd, c, "sync", func(name string) (string, error) {
				_, err := c.PullUpstream(cmd.Context(), name, rest.PullUpstreamRequest{Ref: optional(ref)}, c.as(name, access.GitWrite))
				if isPaused(err) {
					return "skipped, it is paused", nil // a person wants that
				}
				return "sync requested", err
			})
		},
	}
	bindConnect(cmd, &o)
	many.bind(cmd.Flags())
	cmd.Flags().BoolVar(&wait, "wait", false, "follow the sync until it has finished")
	cmd.Flags().BoolVar(&failing, "failing", false, "with --all: only those whose last sync failed")
	cmd.Flags().StringVar(&ref, "ref", "", "only this branch or tag")
	return cmd
}

// isPaused reports whether an error of the API says that a mirror is paused.
func isPaused(err error) bool {
	e, ok := errors.AsType[*rest.Error](err)
	return ok && e.Status == http.StatusConflict && strings.Contains(e.Message, core.PausedSentence)
}

// syncOne asks for a sync of one repository, and follows it if it is to wait.
func syncOne(cmd *cobra.Command, c *client, name, ref string, wait bool) error {
	pull, err := c.PullUpstream(cmd.Context(), name, rest.PullUpstreamRequest{Ref: optional(ref)}, c.as(name, access.GitWrite))
	if err != nil {
		return c.explain(err, "sync "+name)
	}
	if !wait {
		return answer(cmd, pull, "Sync of %s requested. Watch it: headwater repo show %s", name, core.ShellArg(name))
	}
	r, err := follow(cmd.Context(), c, name, pull.Wanted, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if kept := keptOut(*r.Sync, name); len(kept) > 0 {
		return answer(cmd, r, "%s is up to date with its upstream but for:\n  %s", name, strings.Join(kept, "\n  "))
	}
	return answer(cmd, r, "%s is up to date with its upstream.", name)
}
