package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/headwater-git/headwater/core"
)

// lookupEnv reads one environment variable, like os.LookupEnv.
type lookupEnv func(name string) (string, bool)

// envPrefix begins the name of every environment variable that stands for a flag.
const envPrefix = "HEADWATER_"

// newRoot builds the whole command tree. It reads the environment only through
// env and writes only to the streams of the returned command.
func newRoot(env lookupEnv) *cobra.Command {
	root := &cobra.Command{
		Use:   "headwater",
		Short: "A Git storage server that mirrors, serves and writes through",
		Long: `Headwater keeps a fast local copy of repositories that live at a Git host,
serves them to Git clients and over an API, and sends every push to the host
before it says yes.

Every flag can be given as an environment variable too: --data is
HEADWATER_DATA, --password-file is HEADWATER_PASSWORD_FILE; and in a file, which
--settings names. A flag goes before the environment, and that before the file.

States are in colour at a terminal, unless NO_COLOR is set.`,
		Example: `  headwater serve --data ./headwater-data
  headwater mirror https://github.com/octocat/Hello-World
  headwater token --repo octocat/Hello-World --scope git:read --ttl 1h`,
		Args:              cobra.ArbitraryArgs, // so that needsSubcommand words the error
		RunE:              needsSubcommand,
		Version:           versionLine(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return applySettings(cmd, env) },
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		newServeCommand(env),
		newMirrorCommand(), newMirrorSetCommand(),
		newRepoCommand(),
		newTokenCommand(),
		newGitCredentialCommand(),
		newWebhookCommand(),
		newEventsCommand(),
		newOrgCommand(),
		newCredentialCommand(),
		newRewriteCommand(),
		newLFSCommand(),
		newAuditCommand(),
		newReadOnlyCommand(),
		newStatusCommand(),
		newConsoleCommand(),
		newDoctorCommand(env),
		newBackupCommand(env),
		newRestoreCommand(env),
		newProviderCommand(),
		newGitHubAppCommand(),
		newVersionCommand(),
		newManCommand(env),
	)
	root.SetVersionTemplate("{{.Version}}\n")
	root.InitDefaultVersionFlag()
	root.Flags().Lookup("version").Usage = "print the version"
	root.SetHelpCommand(newHelpCommand())
	addCompletionCommand(root)
	bindJSON(root)
	bindColour(root, env)
	bindCompletion(root, env)
	root.PersistentFlags().String(settingsFlag, "", "file with values of flags, in HCL")
	documentEnv(root)
	return root
}

// addCompletionCommand adds cobra's command for the scripts of shells, which would answer
// a shell that it does not know with its help and success.
func addCompletionCommand(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	completion, _, err := root.Find([]string{"completion"})
	if err != nil || completion == root {
		return
	}
	completion.Args, completion.RunE = cobra.ArbitraryArgs, needsSubcommand
	completion.Example = "  source <(headwater completion bash)"
	for _, shell := range completion.Commands() {
		shell.Example = map[string]string{
			"bash":       "  source <(headwater completion bash)",
			"zsh":        "  source <(headwater completion zsh)",
			"fish":       "  headwater completion fish | source",
			"powershell": "  headwater completion powershell | Out-String | Invoke-Expression",
		}[shell.Name()]
	}
}

// envName returns the environment variable of a flag.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// applyEnv sets every flag that the command line left alone from its
// environment variable. An empty variable counts as unset. A flag that may be
// repeated takes several values separated by semicolons.
func applyEnv(flags *pflag.FlagSet, env lookupEnv) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		if failed != nil || f.Changed || f.Name == "help" || f.Name == "version" {
			return
		}
		value, ok := env(envName(f.Name))
		if !ok || value == "" {
			return
		}
		values := []string{value}
		if f.Value.Type() == "stringArray" {
			values = strings.Split(value, ";")
		}
		if err := setFlag(flags, f.Name, values); err != nil {
			failed = usagef("correct or unset "+envName(f.Name), "bad value of %s: %v", envName(f.Name), err)
		}
	})
	return failed
}

// documentEnv names the environment variable of each flag in its help text.
func documentEnv(cmd *cobra.Command) {
	note := func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "version" {
			f.Usage = fmt.Sprintf("%s [$%s]", f.Usage, envName(f.Name))
		}
	}
	cmd.Flags().VisitAll(note)
	if !cmd.HasParent() {
		cmd.PersistentFlags().VisitAll(note)
	}
	for _, sub := range cmd.Commands() {
		documentEnv(sub)
	}
}

// needsSubcommand is the RunE of a command that only groups others.
func needsSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	next := "see: " + cmd.CommandPath() + " --help"
	cmd.SuggestionsMinimumDistance = 2 // cobra's own default, which it sets only on its own path
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		next = "did you mean: " + cmd.CommandPath() + " " + similar[0]
	}
	return usagef(next, "unknown command %q", args[0])
}

// exactArgs is cobra.ExactArgs with words of our own: names says what is
// expected, in order.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(names) == 0 && cmd.HasSubCommands() {
			return needsSubcommand(cmd, args) // a command was meant, rather than an argument
		}
		want := "no argument"
		if len(names) > 0 {
			want = strings.Join(names, " ")
		}
		return usagef("see: "+cmd.CommandPath()+" --help", "%s takes %s; it was given %s", cmd.CommandPath(), want, counted(len(args)))
	}
}

// counted is a number of arguments in words.
func counted(n int) string {
	switch n {
	case 0:
		return "none"
	case 1:
		return "one argument"
	}
	return core.Count(n, "argument")
}

// newHelpCommand is cobra's, but that a command which does not exist is an error.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "help [COMMAND...]",
		Short:             "Explain a command",
		Example:           "  headwater help token issue",
		ValidArgsFunction: commandNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil {
				return usagef("see: "+cmd.Root().CommandPath()+" --help", "%s", err)
			}
			if len(rest) > 0 {
				return needsSubcommand(found, rest)
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}
