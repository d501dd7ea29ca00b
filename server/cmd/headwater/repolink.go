package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"

	"github.com/headwater-git/headwater/core"
)

// linkOptions are the flags of attach and repoint.
type linkOptions struct {
	upstreamOptions
	dry, yes, asJSON bool
}

func newRepoAttachCommand() *cobra.Command {
	return newLinkCommand((*client).attach, "attach REPO URL", "Link a local repository to an upstream",
		`Link a repository that has no upstream to one. From then on it is a copy: its
branches and tags become equal to the upstream's. What would become of them is
shown first. A branch that the upstream does not have is deleted; its tip is kept
for a while, as is that of one that is moved by force, and can be made a branch
again: headwater rewrite restore. Ref policies of the repository hold here too.
Reads go on meanwhile.`,
		`  headwater repo attach team/app https://git.example.org/team/app --dry-run
  headwater repo attach team/app https://git.example.org/team/app --password-file ./token`)
}

func newRepoRepointCommand() *cobra.Command {
	cmd := newLinkCommand((*client).repoint, "repoint REPO URL", "Give a synced repository another upstream",
		`Follow another upstream from now on: after a move that the host did not tell, or
to another host. What would become of branches and tags is shown first. Settings,
rewrites, notes and ephemeral branches stay. The stored credential stays if the
host is the same and no other is given; else it is deleted.`,
		`  headwater repo repoint team/app https://git.example.org/new/app --dry-run
  headwater repo repoint team/app https://gitlab.com/new/app --password-file ./token
  headwater repo repoint --all --from https://old.example.org/team --to https://new.example.org/team --dry-run`)
	return withMany(cmd)
}

// linking attaches a repository to an upstream, or re-points it.
type linking func(c *client, ctx context.Context, name string, body rest.LinkRepositoryRequest, dry bool) (rest.LinkedRepository, error)

func (c *client) attach(ctx context.Context, name string, body rest.LinkRepositoryRequest, dry bool) (rest.LinkedRepository, error) {
	return c.AttachUpstream(ctx, name, &rest.AttachUpstreamParams{DryRun: &dry}, body, c.as(name, access.RepoWrite))
}

func (c *client) repoint(ctx context.Context, name string, body rest.LinkRepositoryRequest, dry bool) (rest.LinkedRepository, error) {
	return c.RepointUpstream(ctx, name, &rest.RepointUpstreamParams{DryRun: &dry}, body, c.as(name, access.RepoWrite))
}

func newLinkCommand(how linking, use, summary, long, example string) *cobra.Command {
	var o linkOptions
	cmd := &cobra.Command{
		Use: use, Short: summary, Long: long, Example: example, Args: exactArgs("REPO", "URL"),
		RunE: func(cmd *cobra.Command, args []string) error { return link(cmd, o, how, args[0], args[1]) },
	}
	bindUpstream(cmd, &o.upstreamOptions)
	f := cmd.Flags()
	f.BoolVar(&o.dry, "dry-run", false, "show what would become of the refs, and change nothing")
	f.BoolVar(&o.yes, "yes", false, "do not ask when refs are deleted or moved by force; needed where there is no terminal")
	f.BoolVar(&o.asJSON, "json", false, "print JSON")
	return cmd
}

// link plans, asks, and links.
func link(cmd *cobra.Command, o linkOptions, how linking, name, address string) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	up, err := parseUpstream(address)
	if err != nil {
		return err
	}
	c, base, secret, err := o.prepare(cmd, &up)
	if err != nil {
		return err
	}
	base.DefaultBranch = optional(o.branch)
	request := rest.LinkRepositoryRequest{BaseRepo: &base}
	if secret != "" {
		request.Username, request.Password = &o.username, new(secret.Reveal())
	}
	doing := fmt.Sprintf("link %s to %s", name, up)
	plan, err := how(c, ctx, name, request, true)
	if err != nil {
		return explainLink(c, err, doing, name)
	}
	if !o.asJSON {
		if err := printPlan(out, plan.Plan); err != nil {
			return err
		}
	}
	if o.dry {
		if o.asJSON {
			return json.NewEncoder(out).Encode(plan)
		}
		return nil
	}
	if lost := len(plan.Plan.Deleted) + len(plan.Plan.Forced); lost > 0 && !o.yes {
		if err := confirm(cmd, fmt.Sprintf("History is lost here of %s; old tips are kept as the ref policies say. Go on?", core.Count(lost, "ref"))); err != nil {
			return err
		}
	}
	if err := c.tolerate(ctx, name, o.tolerate); err != nil {
		return err
	}
	done, err := how(c, ctx, name, request, false)
	if err != nil {
		return explainLink(c, err, doing, name)
	}
	if o.asJSON {
		return json.NewEncoder(out).Encode(done)
	}
	fmt.Fprintf(out, "%s follows %s. Watch its sync: %s\n", name, up, asTyped(cmd, "headwater repo show "+core.ShellArg(name)))
	return nil
}

// explainLink gives the refusals of a link their next step.
func explainLink(c *client, err error, doing, name string) error {
	switch {
	case isStatus(err, http.StatusConflict):
		return wrapf(err, "see its state: headwater repo show "+core.ShellArg(name)+"; one that has an upstream is re-pointed: headwater repo repoint", "%s", doing)
	case isStatus(err, http.StatusPreconditionFailed):
		return wrapf(err, "give a credential that can read it with --password-file, or check the provider: headwater provider check", "%s", doing)
	}
	return c.explain(err, doing)
}

// confirm asks a person at a terminal. Programs cannot be asked: they say --yes.
func confirm(cmd *cobra.Command, question string) error {
	f, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return failf("add --yes to do it, or --dry-run to see the plan alone", "nothing was changed: refs would lose history here, and there is no terminal to ask at")
	}
	fmt.Fprint(cmd.ErrOrStderr(), question+" [y/N] ")
	answer, err := bufio.NewReader(f).ReadString('\n')
	if word := strings.ToLower(strings.TrimSpace(answer)); err != nil || word != "y" && word != "yes" {
		return failf("add --yes to do it without asking, or --dry-run to see the plan alone", "nothing was changed")
	}
	return nil
}

// printPlan prints what would become of refs, as a table.
func printPlan(out io.Writer, p rest.Plan) error {
	table := newTable(out)
	rows := 0
	for _, list := range []struct {
		word string
		refs []rest.RefUpdate
	}{{"create", p.Created}, {"move", p.Moved}, {"force", p.Forced}, {"delete", p.Deleted}, {"hold", p.Held}} {
		for _, u := range list.refs {
			if rows++; rows == 1 {
				fmt.Fprintln(table, "DO\tREF\tFROM\tTO")
			}
			from := short(u.Old)
			if strings.Trim(u.Old, "0") == "" {
				from = "-"
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", list.word, u.Name, from, short(u.New))
		}
	}
	if rows == 0 {
		fmt.Fprintln(table, "No ref changes.")
	}
	return table.Flush()
}
