package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

func newRepoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "repo",
		Short: "Create, list, inspect, link, sync and delete repositories",
		RunE:  needsSubcommand,
	}
	cmd.AddCommand(
		newRepoCreateCommand(), newRepoAdoptCommand(), newRepoListCommand(), newRepoShowCommand(), newRepoSettingsCommand(), newRepoSyncCommand(), newRepoPauseCommand(), newRepoResumeCommand(), newRepoRunsCommand(), newRepoEnsureCommand(),
		newRepoOrphansCommand(), newRepoWebhookCommand(), newRepoAttachCommand(), newRepoRepointCommand(), newRepoDetachCommand(), newRepoRebuildCommand(), newRepoRenameCommand(), newRepoDeleteCommand(), newRepoUndeleteCommand(),
	)
	return cmd
}

func newRepoShowCommand() *cobra.Command {
	var (
		o      connectOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:     "show REPO",
		Short:   "Show a repository and the state of its sync",
		Example: "  headwater repo show octocat/Hello-World",
		Args:    exactArgs("REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			r, err := c.GetRepository(cmd.Context(), args[0], c.as(args[0], access.GitRead))
			if err != nil {
				return c.explain(err, "show "+args[0])
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			}
			return printTyped(cmd, func(out io.Writer) error { return printRepo(out, r, time.Now()) })
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newRepoDetachCommand() *cobra.Command {
	var o connectOptions
	cmd := &cobra.Command{
		Use:   "detach REPO",
		Short: "Cut the link to the upstream and keep the content",
		Long: `Forget the upstream and its credential. The content stays and later pushes stay
here. To link it again: headwater repo attach.`,
		Example: "  headwater repo detach team/app",
		Args:    exactArgs("REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			if _, err := c.DetachUpstream(cmd.Context(), args[0], c.as(args[0], access.GitWrite)); err != nil {
				return c.explain(err, "detach "+args[0])
			}
			return answer(cmd, outcome{Repo: args[0], Result: "detached"}, "%s is a local repository now.", args[0])
		},
	}
	bindConnect(cmd, &o)
	return cmd
}

// upstreamOf is where the repository comes from, for a table.
func upstreamOf(r rest.Repository) string {
	base := r.BaseRepo
	if base == nil {
		return "-"
	}
	return cmp.Or(base.UpstreamHost, base.Provider) + "/" + base.Owner + "/" + base.Name
}

// stateOf is that of the sync, and that of the upstream where something is wrong
// with it.
func stateOf(r rest.Repository) string {
	if r.Damage != nil && r.Damage.EndedAt == nil {
		return string(r.Damage.State)
	}
	if r.Sync == nil {
		return "local"
	}
	state := string(r.Sync.State)
	if up := r.Sync.UpstreamState; up != "" && up != "active" {
		state += ", upstream " + string(up)
	}
	switch n := len(r.Sync.HeldRefs) + len(r.Sync.SkippedRefs); n {
	case 0:
	case 1:
		state += ", 1 ref not as there"
	default:
		state += ", " + core.Count(n, "ref") + " not as there"
	}
	if hook := r.Sync.Webhook; hook != nil && string(hook.State) == string(core.InboundFailing) {
		state += ", no webhook"
	}
	return state
}

// freshness says how long ago the upstream confirmed the copy.
func freshness(s rest.Sync, now time.Time) string {
	if s.ObservedAt == nil {
		return "never confirmed by the upstream"
	}
	line := "confirmed " + core.Ago(max(now.Sub(*s.ObservedAt), 0)) + " ago"
	if s.ChangedAt != nil {
		line += ", upstream changed " + core.Ago(max(now.Sub(*s.ChangedAt), 0)) + " ago"
	}
	return line
}

// upstreamIs is the state of the upstream, and since when.
func upstreamIs(s rest.Sync) string {
	if s.UpstreamState == "" {
		return "active" // an older server does not send it
	}
	if s.UpstreamSince == nil {
		return string(s.UpstreamState)
	}
	return string(s.UpstreamState) + " since " + s.UpstreamSince.Local().Format(time.RFC3339)
}

// identity says whether the upstream's id is confirmed, and since when not.
func identity(s rest.Sync, now time.Time) string {
	line := string(s.Identity.State)
	if at := s.Identity.ConfirmedAt; at != nil {
		ago := core.Ago(max(now.Sub(*at), 0)) + " ago"
		if line == "confirmed" {
			line += " " + ago
		} else {
			line += ", confirmed " + ago
		}
	}
	if s.Identity.Message != "" {
		line += ": " + s.Identity.Message
	}
	return line
}

// printRepo prints a repository for a person.
func printRepo(out io.Writer, r rest.Repository, now time.Time) error {
	t := newTable(out)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("name", "%s", r.RepoName)
	row("id", "%s", r.RepoID)
	row("default branch", "%s", r.DefaultBranch)
	row("created", "%s", r.CreatedAt.Local().Format(time.RFC3339))
	if r.HTTPURL != "" {
		row("clone URL", "%s", r.HTTPURL)
	}
	row("upstream", "%s", upstreamOf(r))
	if r.Sync != nil && r.Sync.UpstreamURL != "" {
		row("fetched from", "%s", r.Sync.UpstreamURL)
	}
	if r.DiskBytes > 0 {
		row("size on disk", "%s", core.ByteSize(r.DiskBytes))
	}
	if r.Sync == nil {
		row("state", "%s", stateOf(r))
	}
	if r.Damage != nil {
		printDamage(row, *r.Damage)
	}
	if s := r.Sync; s != nil {
		row("state", "%s", s.State)
		if s.PausedAt != nil {
			row("paused since", "%s", s.PausedAt.Local().Format(time.RFC3339))
			row("next", "%s", "follow the upstream again: headwater repo resume "+core.ShellArg(r.RepoName))
		}
		row("freshness", "%s", freshness(*s, now))
		row("upstream is", "%s", upstreamIs(*s))
		if s.Identity.State != "" { // an older server sends none
			row("identity", "%s", identity(*s, now))
		}
		row("runs", "%d", s.Runs)
		if s.LastSuccessAt != nil && !s.LastSuccessAt.IsZero() {
			row("last success", "%s", s.LastSuccessAt.Local().Format(time.RFC3339))
		}
		if s.Webhook != nil {
			row("webhook", "%s", inboundLine(*s.Webhook))
		}
		if s.Progress != nil {
			row("progress", "%s %d%%", describe(*s.Progress), s.Progress.Percent)
		}
		if e := s.LastError; e != nil {
			row("last error", "%s: %s", e.Class, core.ErrorClass(e.Class).Describe(e.Message))
			row("next", "%s", nextForError(*e, r))
			if s.Failures > 1 {
				row("failures", "%d in a row", s.Failures)
			}
			if s.NextAttemptAt != nil {
				row("next attempt", "%s", s.NextAttemptAt.Local().Format(time.RFC3339))
			}
		}
		if s.LFS != nil {
			printLFS(row, *s.LFS, r.RepoName, now)
		}
		for _, line := range keptOut(*s, r.RepoName) {
			row("not as upstream", "%s", line)
		}
		if next := nextForUpstream(core.UpstreamState(s.UpstreamState), r.RepoName); next != "" && s.LastError == nil {
			row("next", "%s", next)
		}
		if s.NextPollAt != nil {
			row("next poll", "%s", s.NextPollAt.Local().Format(time.RFC3339))
		}
	}
	return t.Flush()
}
