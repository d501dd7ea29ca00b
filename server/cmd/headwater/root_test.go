package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// noEnv is an empty environment.
func noEnv(string) (string, bool) { return "", false }

// envOf is an environment with the given variables.
func envOf(vars map[string]string) lookupEnv {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

// runCLI runs one command line and returns its streams.
func runCLI(t *testing.T, env lookupEnv, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := newRoot(env)
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	cmd.SetIn(bytes.NewReader(nil))
	err = cmd.ExecuteContext(t.Context())
	return out.String(), errs.String(), err
}

func TestApplyEnv_precedence(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []string
		env  map[string]string
		want string
	}{
		{name: "default", want: "standard"},
		{name: "environment", env: map[string]string{"HEADWATER_PASSWORD_FILE": "env"}, want: "env"},
		{name: "empty is unset", env: map[string]string{"HEADWATER_PASSWORD_FILE": ""}, want: "standard"},
		{name: "flag wins", args: []string{"--password-file", "flag"}, env: map[string]string{"HEADWATER_PASSWORD_FILE": "env"}, want: "flag"},
		{name: "empty flag wins", args: []string{"--password-file="}, env: map[string]string{"HEADWATER_PASSWORD_FILE": "env"}, want: ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
			got := flags.String("password-file", "standard", "")
			require.NoError(t, flags.Parse(tc.args))
			require.NoError(t, applyEnv(flags, envOf(tc.env)))
			require.Equal(t, tc.want, *got)
		})
	}
}

func TestApplyEnv_types(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	scopes := flags.StringSlice("scope", []string{"git:read"}, "")
	policies := flags.StringArray("ref-policy", nil, "")
	wait := flags.Bool("wait", false, "")
	require.NoError(t, applyEnv(flags, envOf(map[string]string{
		"HEADWATER_SCOPE":      "git:write,repo:write",
		"HEADWATER_REF_POLICY": "agents/*=;*=no-push,no-force-push",
		"HEADWATER_WAIT":       "true",
	})))
	require.Empty(t, cmp.Diff([]string{"git:write", "repo:write"}, *scopes))
	require.Empty(t, cmp.Diff([]string{"agents/*=", "*=no-push,no-force-push"}, *policies))
	require.True(t, *wait)
}

func TestApplyEnv_badValueNamesTheVariable(t *testing.T) {
	t.Parallel()
	_, _, err := runCLI(t, envOf(map[string]string{"HEADWATER_TTL": "soon"}), "token", "--repo", "a/b")
	var step *stepError
	require.ErrorAs(t, err, &step)
	require.Contains(t, step.Error(), "HEADWATER_TTL")
	require.True(t, step.usage)
}

func TestReport_exitCodes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		err  error
		want int
		text string
	}{
		{name: "success", want: 0},
		{name: "failure", err: errors.New("no luck"), want: 1, text: "headwater: no luck\n"},
		{name: "failure with a step", err: failf("do this", "no luck"), want: 1, text: "headwater: no luck\n  next: do this\n"},
		{name: "wrong usage", err: usagef("read that", "no such thing"), want: 2, text: "headwater: no such thing\n  next: read that\n"},
		{name: "cause", err: wrapf(errors.New("disk full"), "make room", "write it"), want: 1, text: "headwater: write it: disk full\n  next: make room\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			require.Equal(t, tc.want, report(&out, tc.err))
			require.Equal(t, tc.text, out.String())
		})
	}
}

// TestRoot_wrongUsage runs command lines that are wrong: each must say so with
// a next step, and none may reach a server or a file.
func TestRoot_wrongUsage(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"unknown command":         {"mirro"},
		"unknown subcommand":      {"repo", "destroy"},
		"unknown flag":            {"serve", "--port", "1"},
		"missing argument":        {"mirror"},
		"too many arguments":      {"repo", "show", "a", "b"},
		"delete without yes":      {"repo", "delete", "a/b"},
		"password in the URL":     {"mirror", "https://u:hunter2@git.example.org/a/b"},
		"no scope":                {"token", "--repo", "a/b", "--scope", "git:admin"},
		"no repository":           {"token"},
		"a life of weeks":         {"token", "--repo", "a/b", "--ttl", "1w"},
		"help of nothing":         {"help", "bogus"},
		"help of no subcommand":   {"help", "repo", "bogus"},
		"zero life":               {"token", "--repo", "a/b", "--ttl", "0s"},
		"certificate without key": {"serve", "--tls-cert", "x.pem"},
		"two certificates":        {"serve", "--tls-cert", "x.pem", "--tls-key", "y.pem", "--tls-self-signed"},
		"a certificate too many":  {"serve", "--acme-domain", "git.example.org", "--tls-self-signed"},
		"a domain of no host":     {"serve", "--acme-domain", "127.0.0.1"},
		"an authority over HTTP":  {"serve", "--acme-domain", "git.example.org", "--acme-ca", "http://acme.example.org"},
		"log level":               {"serve", "--log-level", "loud"},
		"a proxy of no network":   {"serve", "--trusted-proxy", "proxy.example.org"},
		"a public URL of no host": {"serve", "--public-url", "git.example.org"},
		"a pattern of origins":    {"serve", "--cors-origin", "https://*.example"},
		"an origin with a path":   {"serve", "--cors-origin", "https://app.example.org/"},
		"no room at all":          {"serve", "--max-requests", "-1"},
		"no time to wait":         {"serve", "--max-wait", "0s"},
		"two keys":                {"org", "key", "add", "acme", "a.pem", "--generate", "b.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := runCLI(t, noEnv, args...)
			var step *stepError
			require.ErrorAs(t, err, &step)
			require.True(t, step.usage, err)
			require.NotEmpty(t, step.next)
			require.NotContains(t, err.Error()+step.next, "hunter2")
		})
	}
}

// TestRoot_everyCommandTeaches checks that help is complete: a sentence, an
// example for whatever does something, and the environment variable of every flag.
func TestRoot_everyCommandTeaches(t *testing.T) {
	t.Parallel()
	walk(newRoot(noEnv), func(cmd *cobra.Command) {
		require.NotEmpty(t, cmd.Short, cmd.CommandPath())
		if !cmd.HasSubCommands() {
			require.NotEmpty(t, cmd.Example, cmd.CommandPath())
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && f.Name != "version" {
				require.Contains(t, f.Usage, "$"+envName(f.Name), cmd.CommandPath())
			}
		})
	})
}

// TestRoot_cliReference compares docs/cli.md with the commands. Run it with
// HEADWATER_UPDATE=1 to write the file anew.
func TestRoot_cliReference(t *testing.T) {
	t.Parallel()
	var want bytes.Buffer
	want.WriteString("# Command line\n\nThis page is generated from the commands themselves.\n" +
		"Every flag can be given as the environment variable in brackets; a flag wins.\n")
	walk(newRoot(noEnv), func(cmd *cobra.Command) { writeReference(&want, cmd) })
	path := filepath.Join("..", "..", "..", "docs", "cli.md")
	if os.Getenv("HEADWATER_UPDATE") != "" {
		require.NoError(t, os.WriteFile(path, want.Bytes(), 0o644))
	}
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(want.String(), string(got)), "docs/cli.md is out of date; run this test with HEADWATER_UPDATE=1")
}

// walk visits cmd and every command below it, in order.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		walk(sub, visit)
	}
}

// writeReference writes the section of one command.
func writeReference(w io.Writer, cmd *cobra.Command) {
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintf(w, "\n## %s\n\n%s\n\n```text\n%s\n```\n", cmd.CommandPath(), text, cmd.UseLine())
	if cmd.Example != "" {
		fmt.Fprintf(w, "\n```sh\n%s\n```\n", cmd.Example)
	}
	if flags := cmd.LocalFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(w, "\n```text\n%s```\n", flags.FlagUsages())
	}
}
