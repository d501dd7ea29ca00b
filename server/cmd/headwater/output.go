package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// speaksNoJSON are the commands without --json, by their path below the root, and why.
func speaksNoJSON() map[string]string {
	return map[string]string{
		"serve":                 "its log has --log-json; it prints nothing else than how it started",
		"git-credential":        "git reads what it prints",
		"completion":            "a shell reads what it prints",
		"man":                   "it writes files and prints nothing",
		"help":                  "it is for people",
		"github-app create":     "it talks with a person",
		"__complete":            "a shell reads what it prints",
		"completion bash":       "a shell reads what it prints",
		"completion fish":       "a shell reads what it prints",
		"completion zsh":        "a shell reads what it prints",
		"completion powershell": "a shell reads what it prints",
	}
}

// bindJSON gives --json to each command that prints something and has not its own.
func bindJSON(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		bindJSON(sub)
	}
	_, exempt := speaksNoJSON()[pathBelowRoot(cmd)]
	if exempt || !cmd.Runnable() || !cmd.HasParent() || isGroup(cmd) || cmd.Flags().Lookup("json") != nil {
		return
	}
	cmd.Flags().Bool("json", false, "print JSON")
}

// isGroup reports whether a command does nothing but group others. The command token
// does both.
func isGroup(cmd *cobra.Command) bool { return cmd.HasSubCommands() && cmd.Args == nil }

// pathBelowRoot is the path of a command without the program's name.
func pathBelowRoot(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return ""
	}
	if above := pathBelowRoot(cmd.Parent()); above != "" {
		return above + " " + cmd.Name()
	}
	return cmd.Name()
}

// wantsJSON reports whether --json is given.
func wantsJSON(cmd *cobra.Command) bool {
	given, err := cmd.Flags().GetBool("json")
	return err == nil && given
}

// answer prints what came of a command: the value as JSON with --json, else the
// sentences.
func answer(cmd *cobra.Command, value any, sentences string, args ...any) error {
	out := cmd.OutOrStdout()
	if wantsJSON(cmd) {
		return json.NewEncoder(out).Encode(value)
	}
	_, err := fmt.Fprintln(out, asTyped(cmd, fmt.Sprintf(sentences, args...)))
	return err
}

// printTyped prints what a function writes for a person to the command's output, the
// commands in it with the flags that were typed ([asTyped]).
func printTyped(cmd *cobra.Command, write func(out io.Writer) error) error {
	var text strings.Builder
	err := write(&text)
	_, printed := io.WriteString(cmd.OutOrStdout(), asTyped(cmd, text.String()))
	return cmp.Or(err, printed)
}

// forPeople is where sentences go beside the answer: nowhere with --json.
func forPeople(cmd *cobra.Command) io.Writer {
	if wantsJSON(cmd) {
		return io.Discard
	}
	return cmd.OutOrStdout()
}

// outcome is the answer of a command that has nothing to say but that it is done.
type outcome struct {
	Repo   string `json:"repo,omitempty"`
	ID     string `json:"id,omitempty"`
	Result string `json:"result"` // one word, like "deleted", or a few
	Error  string `json:"error,omitempty"`
}
