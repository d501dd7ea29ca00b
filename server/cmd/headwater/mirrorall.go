package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

// allOptions are the flags of mirror --all.
type allOptions struct {
	all, archived, forks, dry, follow bool
	include, exclude                  []string
	credential, prefix                string
}

func bindAll(cmd *cobra.Command, o *allOptions) {
	f := cmd.Flags()
	f.BoolVar(&o.all, "all", false, "mirror all repositories of the organisation, group, workspace or user at URL")
	f.StringArrayVar(&o.include, "include", nil, "with --all: only those whose path below the owner matches PATTERN (may be repeated)")
	f.StringArrayVar(&o.exclude, "exclude", nil, "with --all: not those whose path below the owner matches PATTERN (may be repeated)")
	f.BoolVar(&o.archived, "archived", false, "with --all: archived repositories, too")
	f.BoolVar(&o.forks, "forks", false, "with --all: forks, too")
	f.StringVar(&o.credential, "credential", "", "with --all: name of a shared credential that all of them use")
	f.StringVar(&o.prefix, "prefix", "", "with --all: what the names here begin with, like acme/")
	f.BoolVar(&o.dry, "dry-run", false, "with --all: show what would be mirrored, and change nothing")
	f.BoolVar(&o.follow, "follow", false, "with --all: keep up with repositories that appear and move, from now on")
}

// check refuses flags of one of the two that are given with the other.
func (o allOptions) check(cmd *cobra.Command) error {
	only, with := []string{"include", "exclude", "archived", "forks", "credential", "prefix", "dry-run", "follow"}, "works with --all only"
	if o.all {
		only, with = []string{"id", "username", "password-file", "default-branch", "tolerate"}, "does not work with --all"
	}
	for _, name := range only {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			next := "headwater mirror --help"
			if name == "password-file" {
				next = "store it for all of them: headwater credential create NAME URL --password-file FILE, then --credential NAME"
			}
			return usagef(next, "--%s %s", name, with)
		}
	}
	return nil
}

// parseOwner reads the address of an organisation, group, workspace or user.
func parseOwner(address string) (upstreamRef, error) {
	trimmed := strings.TrimRight(strings.TrimSpace(address), "/")
	// An owner's page of GitLab.
	if u, err := url.Parse(trimmed); err == nil && strings.HasPrefix(u.Path, "/groups/") && u.Host != "" {
		u.Path = strings.TrimPrefix(u.Path, "/groups")
		trimmed = u.String()
	}
	up, err := parseUpstream(trimmed + "/name")
	if err != nil {
		return upstreamRef{}, wrapf(err, "give the address of an organisation, group, workspace or user, like https://github.com/octocat", "cannot read the address")
	}
	return up, nil
}

// ownerRequest chooses the provider of an owner.
func (c *client) ownerRequest(ctx context.Context, up upstreamRef, provider string, hasCredential bool) (rest.BaseRepoRequest, error) {
	up, err := c.belowBasePath(ctx, up)
	if err != nil {
		return rest.BaseRepoRequest{}, err
	}
	return upstreamRequest(ctx, c, up, provider, hasCredential)
}

// mirrorAll plans, makes the set, and shows each repository until all are done.
func mirrorAll(cmd *cobra.Command, o mirrorOptions, address string) error {
	ctx, out := cmd.Context(), forPeople(cmd)
	up, err := parseOwner(address)
	if err != nil {
		return err
	}
	c, err := o.connect()
	if err != nil {
		return err
	}
	base, err := c.ownerRequest(ctx, up, o.provider, o.credential != "")
	if err != nil {
		return err
	}
	all := o.allOptions
	request := rest.MirrorSetRequest{
		Provider: base.Provider, UpstreamHost: base.UpstreamHost, Owner: base.Owner, Prefix: optional(all.prefix), Credential: optional(all.credential),
		Archived: &all.archived, Forks: &all.forks, Follow: &all.follow, Public: new(base.Auth != nil),
	}
	if len(all.include) > 0 {
		request.Include = &all.include
	}
	if len(all.exclude) > 0 {
		request.Exclude = &all.exclude
	}
	plan, err := c.PlanMirrorSet(ctx, request, c.as(orgClaim, access.RepoWrite))
	if o.provider == "" && *base.Provider == "github" && base.Auth == nil && isStatus(err, http.StatusPreconditionFailed) {
		fmt.Fprintln(out, "No GitHub App is configured: mirroring the public repositories, read-only")
		request.Public = new(true)
		plan, err = c.PlanMirrorSet(ctx, request, c.as(orgClaim, access.RepoWrite))
	}
	if err != nil {
		return c.explain(err, "list the repositories of "+up.Host+"/"+up.Owner)
	}
	printSetPlan(out, plan)
	if all.dry {
		fmt.Fprintln(out, "Nothing was changed. Do it: the same command without --dry-run")
		if wantsJSON(cmd) {
			return answer(cmd, plan, "")
		}
		return nil
	}
	set, err := c.CreateMirrorSet(ctx, request, c.as(orgClaim, access.RepoWrite))
	if err != nil {
		return c.explain(err, "mirror the repositories of "+up.Host+"/"+up.Owner)
	}
	return c.watchSet(cmd, set.ID, len(plan.Entries)-leftOut(plan))
}

// printSetPlan prints what a set would do, repository by repository, and the sums.
func printSetPlan(out io.Writer, plan rest.MirrorSet) {
	table := newTable(out)
	counts := map[string]int{}
	for _, e := range plan.Entries {
		counts[e.Action]++
		what := e.Action
		if e.Reason != "" {
			what += ": " + e.Reason
		}
		fmt.Fprintf(table, "  %s\t%s\t%s\n", e.Path, e.Name, what)
	}
	_ = table.Flush()
	fmt.Fprintf(out, "%s/%s has %s: %d to mirror, %d mirrored already, %d moved, %d left out, %d in conflict\n", plan.UpstreamHost, plan.Owner,
		core.Count(len(plan.Entries), "repository"), counts[string(core.MirrorCreate)], counts[string(core.MirrorKeep)], counts[string(core.MirrorMove)],
		counts[string(core.MirrorSkip)], counts[string(core.MirrorConflict)])
}

// setInterval is how often a set is asked about.
const setInterval = time.Second

// outcomeOf says how a repository of a set is doing in one line; done is false while
// something is under way.
func outcomeOf(set rest.MirrorSet, e rest.MirrorEntry) (line string, done, failed bool) {
	switch core.MirrorAction(e.Action) {
	case core.MirrorSkip, core.MirrorGone:
		return "", true, false
	case core.MirrorConflict, core.MirrorFailed:
		return e.Path + ": not mirrored: " + e.Reason, true, true
	}
	switch {
	case e.Error != "":
		r := rest.Repository{RepoName: e.Name, BaseRepo: &rest.BaseRepo{Provider: set.Provider}}
		if set.CredentialID != "" {
			r.Credential = &rest.Credential{Shared: set.CredentialID}
		}
		next := nextForError(rest.SyncError{Class: e.Class, Message: e.Error}, r)
		return e.Name + ": failing: " + strings.TrimSuffix(core.ErrorClass(e.Class).Describe(e.Error), ".") + "; next: " + next, true, true
	case e.Ready:
		return e.Name + ": mirrored", true, false
	}
	return "", false, false
}

// leftOut is how many repositories of a set are not to be mirrored.
func leftOut(set rest.MirrorSet) int {
	n := 0
	for _, e := range set.Entries {
		if action := core.MirrorAction(e.Action); action == core.MirrorSkip || action == core.MirrorGone {
			n++
		}
	}
	return n
}

// watchSet prints one line for each repository of a set when its first sync has
// ended, and the total in the end. The plan had so many to mirror: while the server
// looks, the set itself does not have all of them yet.
func (c *client) watchSet(cmd *cobra.Command, id string, planned int) error {
	ctx, out := cmd.Context(), forPeople(cmd)
	printed := map[string]string{}
	for {
		set, err := c.GetMirrorSet(ctx, id, c.as(orgClaim, access.OrgRead))
		if err != nil {
			return c.explain(err, "look at the mirror set "+id)
		}
		waiting, failures, mirrored := 0, 0, 0
		for _, e := range set.Entries {
			line, done, failed := outcomeOf(set, e)
			switch {
			case !done:
				waiting++
			case failed:
				failures++
			case line != "":
				mirrored++
			}
			if line != "" && printed[e.UpstreamID] != line {
				printed[e.UpstreamID] = line
				fmt.Fprintf(out, "[%d/%d] %s\n", len(printed), max(planned, len(set.Entries)-leftOut(set)), asTyped(cmd, line))
			}
		}
		if !set.Looking && waiting == 0 {
			if wantsJSON(cmd) {
				if err := answer(cmd, set, ""); err != nil {
					return err
				}
			}
			return finishSet(cmd, set, mirrored, failures)
		}
		select {
		case <-ctx.Done():
			fmt.Fprintln(out, "The server goes on. Look again: the same command")
			return ctx.Err()
		case <-time.After(setInterval):
		}
	}
}

func finishSet(cmd *cobra.Command, set rest.MirrorSet, mirrored, failures int) error {
	out := forPeople(cmd)
	fmt.Fprintf(out, "Done: %d mirrored, %d failed, %d in all\n", mirrored, failures, len(set.Entries))
	if set.Follow {
		fmt.Fprintf(out, "%s/%s is followed: what appears or moves there is taken up within 15 minutes. End that: %s\n", set.UpstreamHost, set.Owner, asTyped(cmd, "headwater mirror-set delete "+set.ID))
	}
	if set.Error != "" && failures == 0 {
		return failf("run the same command again; it goes on where it was", "%s", set.Error)
	}
	if failures > 0 {
		return failf("mend what is said above; run the same command again, it goes on where it was", "not mirrored: %d of %s", failures, core.Count(len(set.Entries)-leftOut(set), "repository"))
	}
	return nil
}

func newMirrorSetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mirror-set",
		Short: "Look after owners whose repositories are all mirrored",
		RunE:  needsSubcommand,
	}
	cmd.AddCommand(newMirrorSetListCommand(), newSharedCommand(&cobra.Command{
		Use: "show ID", Short: "Show each repository of a mirror set and how it is doing",
		Example: "  headwater mirror-set show mset_01", Args: exactArgs("ID"),
	}, func(ctx context.Context, cmd *cobra.Command, c *client, args []string) error {
		set, err := c.GetMirrorSet(ctx, args[0], c.as(orgClaim, access.OrgRead))
		if err != nil {
			return c.explain(err, "show the mirror set "+args[0])
		}
		if wantsJSON(cmd) {
			return answer(cmd, set, "")
		}
		return printTyped(cmd, func(out io.Writer) error {
			printSet(out, set)
			return nil
		})
	}), newSharedCommand(&cobra.Command{
		Use: "delete ID", Short: "Follow an owner no more; the repositories stay",
		Example: "  headwater mirror-set delete mset_01", Args: exactArgs("ID"),
	}, func(ctx context.Context, cmd *cobra.Command, c *client, args []string) error {
		if err := c.DeleteMirrorSet(ctx, args[0], c.as(orgClaim, access.RepoWrite)); err != nil {
			return c.explain(err, "delete the mirror set "+args[0])
		}
		return answer(cmd, outcome{ID: args[0], Result: "deleted"}, "Deleted. Its repositories stay.")
	}))
	return cmd
}

func printSet(out io.Writer, set rest.MirrorSet) {
	table := newTable(out)
	for _, e := range set.Entries {
		line, done, _ := outcomeOf(set, e)
		switch {
		case !done:
			line = e.Name + ": waits for its first sync"
		case line == "":
			line = e.Path + ": " + e.Action + ": " + e.Reason
		}
		fmt.Fprintf(table, "  %s\n", line)
	}
	_ = table.Flush()
	if set.Error != "" {
		again := "next: mend that and give the same command as before"
		if set.NextLookAt != nil {
			again = "next: mend that, or wait: the server looks again by itself at " + set.NextLookAt.Local().Format(time.RFC3339)
		}
		fmt.Fprintf(out, "The last look failed: %s\n%s\n", set.Error, again)
	}
}

func newMirrorSetListCommand() *cobra.Command {
	var asJSON bool
	cmd := newSharedCommand(&cobra.Command{
		Use: "list", Short: "List the mirror sets of the organisation",
		Example: "  headwater mirror-set list", Args: exactArgs(),
	}, func(ctx context.Context, cmd *cobra.Command, c *client, _ []string) error {
		all, err := c.ListMirrorSets(ctx, c.as(orgClaim, access.OrgRead))
		if err != nil {
			return c.explain(err, "list the mirror sets")
		}
		list := listing[rest.MirrorSet]{
			header: "ID\tOWNER\tFOLLOWED\tLAST LOOK\tERROR",
			row: func(table io.Writer, s rest.MirrorSet) {
				last := "never"
				if s.LookedAt != nil {
					last = s.LookedAt.UTC().Format(time.RFC3339)
				}
				fmt.Fprintf(table, "%s\t%s/%s\t%t\t%s\t%s\n", s.ID, s.UpstreamHost, s.Owner, s.Follow, last, s.Error)
			},
			none: "There are none. Make one: headwater mirror --all URL",
		}
		return list.print(cmd, asJSON, func(each func(rest.MirrorSet) error) error {
			for _, one := range all.MirrorSets {
				if err := each(one); err != nil {
					return err
				}
			}
			return nil
		})
	})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}
