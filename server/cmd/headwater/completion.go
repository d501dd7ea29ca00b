package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/plugins/builtin"
	"github.com/headwater-git/headwater/server/api"
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
// server, scopes, providers, the words that a flag takes. Files are offered for what is a
// file, and for nothing else.
func bindCompletion(cmd *cobra.Command, env lookupEnv) {
	for _, sub := range cmd.Commands() {
		bindCompletion(sub, env)
	}
	if cmd.ValidArgsFunction == nil {
		cmd.ValidArgsFunction = completeArgument(strings.Fields(cmd.Use)[1:], env)
	}
	if f := cmd.Flags(); f.Lookup("state") != nil && f.Lookup("class") != nil { // a list of repositories
		_ = cmd.RegisterFlagCompletionFunc("state", lastOf(words(listedStates)))
		_ = cmd.RegisterFlagCompletionFunc("class", lastOf(words(core.Classes())))
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if _, ok := cmd.GetFlagCompletionFunc(f.Name); ok || f.Value.Type() == "bool" || isFile(f.Name) {
			return
		}
		// The one error is that the flag is not there.
		_ = cmd.RegisterFlagCompletionFunc(f.Name, completeFlag(f.Name, env))
	})
}

// isFile reports whether the value of a flag is a file or folder.
func isFile(flag string) bool {
	switch flag {
	case "data", "key", "config", settingsFlag, "tls-cert", "tls-key", "output", "generate":
		return true
	}
	return strings.HasSuffix(flag, "-file")
}

// completeFlag offers what a flag may be set to, and no files.
func completeFlag(flag string, env lookupEnv) cobra.CompletionFunc {
	switch flag {
	case "scope":
		return lastOf(words(access.Scopes()))
	case "operation":
		return lastOf(api.OperationNames())
	case "sort":
		return oneOf(listedSorts)
	case "provider":
		return oneOf(slices.Sorted(maps.Keys(builtin.All())))
	case "freshness":
		return oneOf([]core.FreshnessPolicy{core.FreshServe, core.FreshRevalidate, core.FreshFail})
	case "lfs":
		return oneOf([]core.LFSMode{core.LFSOff, core.LFSOnDemand, core.LFSMirror})
	case "lfs-policy":
		return oneOf([]core.LFSPolicy{core.LFSFollow, core.LFSHold})
	case "log-level":
		return oneOf([]string{"trace", "debug", "info", "warn", "error"})
	case "event", "type":
		return oneOf(core.EventTypes())
	case "repo":
		return asked(env, repositoryNames)
	case "host":
		return asked(env, hostNames)
	case "credential":
		return asked(env, credentialNames)
	}
	return cobra.NoFileCompletions
}

// completeArgument offers what the arguments of a command may be, by their names in its
// usage.
func completeArgument(names []string, env lookupEnv) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		at := min(len(args), max(len(names)-1, 0))
		if len(names) == 0 || len(args) >= len(names) && !strings.HasSuffix(strings.Trim(names[at], "[]"), "...") {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		offer := cobra.NoFileCompletions
		switch name := strings.TrimSuffix(strings.Trim(names[at], "[]"), "..."); name {
		case "REPO":
			offer = asked(env, repositoryNames)
		case "NAME":
			if cmd.HasParent() && cmd.Parent().Name() == "credential" {
				offer = asked(env, credentialNames)
			}
		case "ID":
			if cmd.HasParent() && cmd.Parent().Name() == "webhook" {
				offer = asked(env, webhookIDs)
			}
		case "on|off", "get|store|erase":
			offer = oneOf(strings.Split(name, "|"))
		case "DIR", "PUBLIC.pem":
			return nil, cobra.ShellCompDirectiveDefault
		case "NAME|PATH":
			return slices.Sorted(maps.Keys(builtin.All())), cobra.ShellCompDirectiveDefault
		}
		return offer(cmd, args, begun)
	}
}

// commandNames offers the commands below those that stand there.
func commandNames(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	found, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, sub := range found.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name()+"\t"+sub.Short)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// words are texts of a type of their own, without the empty one.
func words[T ~string](of []T) []string {
	var out []string
	for _, w := range of {
		if w != "" {
			out = append(out, string(w))
		}
	}
	return out
}

// lastOf offers words for the last one of a list with commas between.
func lastOf(words []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		before := begun[:strings.LastIndex(begun, ",")+1]
		given := strings.Split(before, ",")
		var out []string
		for _, w := range words {
			if !slices.Contains(given, w) {
				out = append(out, before+w)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// oneOf offers words.
func oneOf[T ~string](of []T) cobra.CompletionFunc {
	return cobra.FixedCompletions(words(of), cobra.ShellCompDirectiveNoFileComp)
}

// asked offers what the running server says. Without one there is nothing: a shell can say
// nothing about why.
func asked(env lookupEnv, names func(ctx context.Context, c *client, begun string) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
		if applySettings(cmd, env) != nil || cmd.Flags().Lookup("server") == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		text := func(flag string) string { return cmd.Flags().Lookup(flag).Value.String() }
		c, err := connectOptions{data: text("data"), server: text("server"), org: text("org"), key: text("key"), caFile: text("ca-file")}.connect()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		return names(ctx, c, begun), cobra.ShellCompDirectiveNoFileComp
	}
}

func repositoryNames(ctx context.Context, c *client, begun string) []string {
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

// hostNames are those of the upstreams of the first repositories.
func hostNames(ctx context.Context, c *client, _ string) []string {
	p, err := c.ListRepositories(ctx, &rest.ListRepositoriesParams{Limit: new(completions)}, c.as(orgClaim, access.OrgRead))
	if err != nil {
		return nil
	}
	var names []string
	for _, r := range p.Repos {
		if r.BaseRepo != nil && !slices.Contains(names, r.BaseRepo.UpstreamHost) {
			names = append(names, r.BaseRepo.UpstreamHost)
		}
	}
	return names
}

func credentialNames(ctx context.Context, c *client, _ string) []string {
	all, err := c.ListSharedCredentials(ctx, c.as(orgClaim, access.OrgRead))
	if err != nil {
		return nil
	}
	var names []string
	for _, shared := range all.Credentials {
		names = append(names, shared.Name)
	}
	return names
}

func webhookIDs(ctx context.Context, c *client, _ string) []string {
	all, err := c.ListWebhooks(ctx, c.as(orgClaim, access.OrgRead))
	if err != nil {
		return nil
	}
	var ids []string
	for _, hook := range all.Webhooks {
		ids = append(ids, hook.ID+"\t"+hook.URL)
	}
	return ids
}
