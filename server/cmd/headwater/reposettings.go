package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

// settingsFlags are the flags that change settings. Those that the command line
// leaves alone change nothing.
type settingsFlags struct {
	poll, maxStaleness, freshness, retention, ephemeralTTL, lfs, lfsPolicy string
	policies, include, exclude, tolerate                                   []string
	retentionBytes                                                         int64
	ephemeralQuota                                                         int
	pullRequests, strictWants, publicRead                                  bool
}

func newRepoSettingsCommand() *cobra.Command {
	var (
		o           connectOptions
		s           settingsFlags
		dry, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "settings REPO",
		Short: "Show or change how a repository is polled, filtered, kept and how fresh it must be",
		Long: `Without flags, show the settings of a repository. Each flag changes one; an empty
value is the default. Lists are replaced whole: repeat the flag for each item. Only
--tolerate adds to what is tolerated already; an empty value before takes that away.
A pattern without refs/ is about branches; "*" stops at a slash, "**" does not.

Of policies the first that fits decides what becomes of a ref that the upstream
rewrites or deletes: follow, follow+retain (the default: the old tip is kept),
hold (a person decides) or freeze (it never moves by a sync).`,
		Example: `  headwater repo settings team/app
  headwater repo settings team/app --poll 1m --max-staleness 10s --freshness fail
  headwater repo settings team/app --policy main=hold --policy 'release/*=freeze' --retention 90d
  headwater repo settings team/app --tolerate treeNotSorted
  headwater repo settings team/app --include main --include 'refs/tags/**' --dry-run`,
		Args: exactArgs("REPO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			changes, err := s.changes(cmd.Flags())
			if err != nil {
				return err
			}
			c, err := o.connect()
			if err != nil {
				return err
			}
			if changes.Tolerate, err = c.alsoTolerated(cmd.Context(), args[0], changes.Tolerate); err != nil {
				return err
			}
			var answer rest.SettingsAnswer
			if changes == (rest.SettingsRequest{}) {
				answer, err = c.GetSettings(cmd.Context(), args[0], c.as(args[0], access.GitRead))
			} else {
				answer, err = c.UpdateSettings(cmd.Context(), args[0], &rest.UpdateSettingsParams{DryRun: &dry}, changes, c.as(args[0], access.RepoWrite))
			}
			if err != nil {
				return c.explain(err, "settings of "+args[0])
			}
			out := cmd.OutOrStdout()
			if asJSON {
				return json.NewEncoder(out).Encode(answer)
			}
			if err := printSettings(out, answer.Settings); err != nil || answer.Plan == nil {
				return err
			}
			fmt.Fprintln(out, "\nNothing was changed. These settings would do this:")
			return printPlan(out, *answer.Plan)
		},
	}
	bindConnect(cmd, &o)
	f := cmd.Flags()
	s.bind(f)
	f.BoolVar(&dry, "dry-run", false, "show what would become of the refs, and change nothing")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// bind adds the flags to a command.
func (s *settingsFlags) bind(f *pflag.FlagSet) {
	f.StringVar(&s.poll, "poll", "", "when to look at the upstream unasked: off, auto, or a duration from 5s to 24h (default: as its provider is set up)")
	f.StringVar(&s.maxStaleness, "max-staleness", "", "how old the copy may be for a read, like 10s (default: no limit)")
	f.StringVar(&s.freshness, "freshness", "", "what to do with an older copy: serve, revalidate or fail (default: revalidate)")
	f.StringArrayVar(&s.policies, "policy", nil, "PATTERN=ACTION for refs that are rewritten or deleted; may be repeated")
	f.StringVar(&s.retention, "retention", "", "how long old tips are kept, like 90d (default: 30d)")
	f.Int64Var(&s.retentionBytes, "retention-bytes", 0, "how many bytes old tips may hold; 0 is no limit")
	f.StringArrayVar(&s.include, "include", nil, "pattern of refs to mirror and push; may be repeated")
	f.StringArrayVar(&s.exclude, "exclude", nil, "pattern of refs to leave out; may be repeated")
	f.BoolVar(&s.pullRequests, "pull-requests", false, "mirror the host's pull-request refs into refs/pull/")
	bindTolerate(f, &s.tolerate)
	f.StringVar(&s.ephemeralTTL, "ephemeral-ttl", "", "delete ephemeral branches this long after their last push, like 7d (default: never)")
	f.IntVar(&s.ephemeralQuota, "ephemeral-quota", 0, "how many ephemeral branches there may be; 0 is no limit")
	f.StringVar(&s.lfs, "lfs", "", "what to do with Git LFS: off, on-demand to fetch an upstream's objects when they are asked for, or mirror to fetch them after each sync (default: on-demand)")
	f.StringVar(&s.lfsPolicy, "lfs-policy", "", "with --lfs mirror: follow the upstream at once, or hold each ref until its objects are here (default: follow)")
	f.BoolVar(&s.publicRead, "public-read", false, "let whoever knows the name fetch without a token, while the upstream is public")
	f.BoolVar(&s.strictWants, "strict-wants", false, "serve objects by their ids only if a ref leads to them")
}

// changes returns the body of the API for the flags that were given.
func (s *settingsFlags) changes(f *pflag.FlagSet) (rest.SettingsRequest, error) {
	var out rest.SettingsRequest
	policies := []rest.RefPolicy{}
	for _, text := range s.policies {
		if text == "" {
			continue // an empty list
		}
		pattern, action, ok := cutLast(text, "=")
		if !ok {
			return out, usagef("write it like --policy 'release/*=hold'", "the policy %q is not PATTERN=ACTION", text)
		}
		policies = append(policies, rest.RefPolicy{Pattern: fullPattern(pattern), Action: rest.RefAction(action)})
	}
	for flag, set := range map[string]func(){
		"poll":            func() { out.Poll = &s.poll },
		"max-staleness":   func() { out.MaxStaleness = &s.maxStaleness },
		"freshness":       func() { out.Freshness = new(rest.FreshnessPolicy(s.freshness)) },
		"policy":          func() { out.RefPolicies = &policies },
		"retention":       func() { out.Retention = &s.retention },
		"retention-bytes": func() { out.RetentionBytes = &s.retentionBytes },
		"include":         func() { out.Include = new(fullPatterns(s.include)) },
		"exclude":         func() { out.Exclude = new(fullPatterns(s.exclude)) },
		"pull-requests":   func() { out.PullRequests = &s.pullRequests },
		"tolerate":        func() { out.Tolerate = &s.tolerate },
		"ephemeral-ttl":   func() { out.EphemeralTTL = &s.ephemeralTTL },
		"ephemeral-quota": func() { out.EphemeralQuota = &s.ephemeralQuota },
		"lfs":             func() { out.LFS = new(rest.LFSMode(s.lfs)) },
		"public-read":     func() { out.PublicRead = &s.publicRead },
		"lfs-policy":      func() { out.LFSPolicy = new(rest.LFSPolicy(s.lfsPolicy)) },
		"strict-wants":    func() { out.StrictWants = &s.strictWants },
	} {
		if f.Changed(flag) {
			set()
		}
	}
	return out, nil
}

// bindTolerate adds the flag that lets broken objects in.
func bindTolerate(f *pflag.FlagSet, ids *[]string) {
	f.StringArrayVar(ids, "tolerate", nil, "id of one more check of git's that objects may fail, like treeNotSorted; may be repeated; an empty one forgets those before")
}

// withoutEmpty returns the texts that are not empty.
func withoutEmpty(all []string) []string {
	return slices.DeleteFunc(append([]string{}, all...), func(s string) bool { return s == "" })
}

// alsoTolerated adds ids to those that a repository tolerates already, nil to none: the
// command that a refusal prints must not undo what the one before did. What stands
// before an empty id is forgotten.
func (c *client) alsoTolerated(ctx context.Context, name string, ids *[]string) (*[]string, error) {
	if ids == nil {
		return nil, nil
	}
	if empty := slices.Index(*ids, ""); empty >= 0 {
		return new(withoutEmpty((*ids)[empty:])), nil
	}
	now, err := c.GetSettings(ctx, name, c.as(name, access.GitRead))
	if err != nil {
		return nil, c.explain(err, "settings of "+name)
	}
	return new(append(slices.Clone(now.Settings.Tolerate), *ids...)), nil
}

// tolerate stores which checks objects of a repository may fail.
func (c *client) tolerate(ctx context.Context, name string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	all, err := c.alsoTolerated(ctx, name, &ids)
	if err != nil {
		return err
	}
	if _, err := c.UpdateSettings(ctx, name, nil, rest.SettingsRequest{Tolerate: all}, c.as(name, access.RepoWrite)); err != nil {
		return c.explain(err, "settings of "+name)
	}
	return nil
}

// cutLast cuts a text at the last separator.
func cutLast(text, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(text, sep)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(sep):], true
}

// fullPattern is a pattern of full ref names.
func fullPattern(p string) string {
	if strings.HasPrefix(p, "refs/") {
		return p
	}
	return "refs/heads/" + p
}

// fullPatterns is fullPattern of all that are not empty.
func fullPatterns(all []string) []string {
	out := []string{}
	for _, p := range all {
		if p != "" {
			out = append(out, fullPattern(p))
		}
	}
	return out
}

func printSettings(out io.Writer, s rest.Settings) error {
	t := newTable(out)
	row := func(name, value, absent string) {
		if value == "" {
			value = absent
		}
		fmt.Fprintf(t, "%s\t%s\n", name, value)
	}
	number := func(n int64) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprint(n)
	}
	row("poll", s.Poll, "as the provider has it")
	row("max staleness", s.MaxStaleness, "no limit")
	row("freshness", string(s.Freshness), string(core.FreshRevalidate))
	for i, p := range s.RefPolicies {
		row(fmt.Sprintf("policy %d", i+1), p.Pattern+" = "+string(p.Action), "")
	}
	if len(s.RefPolicies) == 0 {
		row("policies", "", "follow+retain")
	}
	row("retention", s.Retention, "720h (30 days)")
	row("retention bytes", number(s.RetentionBytes), "no limit")
	row("include", strings.Join(s.Include, " "), "all branches and tags")
	row("exclude", strings.Join(s.Exclude, " "), "nothing")
	row("pull requests", map[bool]string{true: "mirrored"}[s.PullRequests], "not mirrored")
	row("tolerated", strings.Join(s.Tolerate, " "), "what old history has")
	row("ephemeral TTL", s.EphemeralTTL, "for ever")
	row("ephemeral quota", number(int64(s.EphemeralQuota)), "no limit")
	row("Git LFS", string(s.LFS), string(core.LFSOnDemand))
	row("read without a token", map[bool]string{true: "while the upstream is public"}[s.PublicRead], "no")
	row("refs that lack LFS objects", string(s.LFSPolicy), string(core.LFSFollow))
	row("objects by id", map[bool]string{true: "only what a ref leads to"}[s.StrictWants], "all that is here")
	return t.Flush()
}
