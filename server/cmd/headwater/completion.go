package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/plugins/builtin"
	rest "github.com/headwater-git/headwater/server/client"
)

const (
	// completionTimeout is how long a shell waits for names of the server.
	completionTimeout = 2 * time.Second
	// completions is how many names are offered at most.
	completions = 100
)

// listedStates and listedSorts are the words of a list of repositories.
var (
	listedStates = []core.RepositoryState{
		core.RepositoryReady, core.RepositoryFailing, core.RepositoryPaused, core.RepositoryHeld, core.RepositoryPending, core.RepositorySyncing,
		core.RepositoryUnconfirmed, core.RepositoryRebuilding, core.RepositoryWaiting, core.RepositoryLocal,
	}
	listedSorts = []core.RepositorySort{core.SortLag, core.SortSize, core.SortLastChange, core.SortName, "newest"}
)

// bindCompletion has the shells complete what is known: repositories of the running
// server, scopes, providers, the words of a list.
func bindCompletion(cmd *cobra.Command, env lookupEnv) {
	for _, sub := range cmd.Commands() {
		bindCompletion(sub, env)
	}
	words := strings.Fields(cmd.Use)
	if at := slices.IndexFunc(words, func(w string) bool { return strings.Trim(w, "[]") == "REPO" }); at > 0 && cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			if len(args) != at-1 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return repositoryNames(cmd, env, begun), cobra.ShellCompDirectiveNoFileComp
		}
	}
	// Arguments are files only where they are called so.
	if !slices.ContainsFunc(words, func(w string) bool { w = strings.Trim(w, "[].<>"); return w == "DIR" || w == "PATH" }) && cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	if f := cmd.Flags(); f.Lookup("state") != nil && f.Lookup("class") != nil { // a list of repositories
		_ = cmd.RegisterFlagCompletionFunc("state", oneOf(listedStates))
		_ = cmd.RegisterFlagCompletionFunc("class", oneOf(core.Classes()))
		if f.Lookup("sort") != nil {
			_ = cmd.RegisterFlagCompletionFunc("sort", oneOf(listedSorts))
		}
	}
	for flag, values := range map[string]func(cmd *cobra.Command, begun string) []string{
		"repo":     func(cmd *cobra.Command, begun string) []string { return repositoryNames(cmd, env, begun) },
		"scope":    func(*cobra.Command, string) []string { return scopeNames() },
		"provider": func(*cobra.Command, string) []string { return slices.Sorted(maps.Keys(builtin.All())) },
	} {
		if cmd.Flags().Lookup(flag) == nil {
			continue
		}
		// The one error is that the flag is not there.
		_ = cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
			return values(cmd, begun), cobra.ShellCompDirectiveNoFileComp
		})
	}
}

// oneOf offers words.
func oneOf[T ~string](words []T) cobra.CompletionFunc {
	var out []cobra.Completion
	for _, w := range words {
		if w != "" {
			out = append(out, string(w))
		}
	}
	return cobra.FixedCompletions(out, cobra.ShellCompDirectiveNoFileComp)
}

func scopeNames() []string {
	var names []string
	for _, s := range access.Scopes() {
		names = append(names, string(s))
	}
	return names
}

// repositoryNames asks the server that the flags name. Without one there are none: a
// shell can say nothing about why.
func repositoryNames(cmd *cobra.Command, env lookupEnv, begun string) []string {
	if applySettings(cmd, env) != nil || cmd.Flags().Lookup("server") == nil {
		return nil
	}
	text := func(flag string) string { return cmd.Flags().Lookup(flag).Value.String() }
	c, err := connectOptions{data: text("data"), server: text("server"), org: text("org"), key: text("key"), caFile: text("ca-file")}.connect()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	p, err := c.ListRepositories(ctx, &rest.ListRepositoriesParams{Q: optional(begun), Limit: new(completions)}, c.as(orgClaim, access.OrgRead))
	if err != nil {
		return nil
	}
	var names []string
	for _, r := range p.Repos {
		// Cobra takes the blanks off both ends of what it offers: that would be another name.
		if strings.HasPrefix(r.RepoName, begun) && strings.TrimSpace(r.RepoName) == r.RepoName {
			names = append(names, r.RepoName)
		}
	}
	return names
}
