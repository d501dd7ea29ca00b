package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

// settingsFile writes a settings file.
func settingsFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "headwater.hcl")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// TestSettings_precedence: a flag goes before the environment, and that before the file,
// in which the nearest block goes first.
func TestSettings_precedence(t *testing.T) {
	t.Parallel()
	path := settingsFile(t, `
data = "top"
token {
  data  = "token"
  scope = ["git:read", "org:read"]
  issue { ttl = "2h" }
}
serve {
  trusted_proxy = ["10.0.0.0/8", "10.1.0.0/16"]
  log_json      = true
  max_waiting   = 7
}`)
	value := func(flag string, env map[string]string, args ...string) string {
		t.Helper()
		root := newRoot(envOf(env))
		cmd, rest, err := root.Find(args)
		require.NoError(t, err)
		require.NoError(t, cmd.ParseFlags(append(rest, "--settings", path)))
		require.NoError(t, applySettings(cmd, envOf(env)))
		return cmd.Flags().Lookup(flag).Value.String()
	}
	require.Equal(t, "top", value("data", nil, "repo", "list"))
	require.Equal(t, "token", value("data", nil, "token", "issue"))
	require.Equal(t, "env", value("data", map[string]string{"HEADWATER_DATA": "env"}, "token", "issue"))
	require.Equal(t, "flag", value("data", map[string]string{"HEADWATER_DATA": "env"}, "token", "issue", "--data", "flag"))
	require.Equal(t, "2h0m0s", value("ttl", nil, "token", "issue"))
	require.Equal(t, "[git:read,org:read]", value("scope", nil, "token"))
	require.Equal(t, "[10.0.0.0/8,10.1.0.0/16]", value("trusted-proxy", nil, "serve"))
	require.Equal(t, "true", value("log-json", nil, "serve"))
	require.Equal(t, "7", value("max-waiting", nil, "serve"))
}

// TestSettings_refused: whatever the command, a wrong file is refused with its line and,
// for a misspelt name, the right one.
func TestSettings_refused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, message, next string }{
		"a misspelt flag":    {"serve {\n  lisen = \":80\"\n}", "line 2: there is no setting lisen in the block of headwater serve", "did you mean: listen"},
		"another one":        {"dta = 1", "line 1: there is no setting dta at the top", "did you mean: data"},
		"nothing near":       {"frequency = 1", "line 1", "docs/configuration.md"},
		"a misspelt command": {"\nserv {\n}", "line 2: there is no block serv at the top", "did you mean: serve"},
		"a flag of another":  {"serve {\n  password_file = \"x\"\n}", "line 2", "into the block of a command that has --password-file"},
		"what is confirmed":  {"yes = true", "line 1", "give --yes on the command line"},
		"help":               {"help = true", "line 1", "give --help on the command line"},
		"a labelled block":   {"serve \"x\" {\n}", "line 1", "docs/configuration.md"},
		"a list":             {"serve {\n  listen = [\":1\", \":2\"]\n}", "line 2: listen takes one value and not a list", "without brackets"},
		"no number":          {"serve {\n  max_waiting = \"many\"\n}", `line 2: bad value of max_waiting: "many" is no whole number that fits`, "correct it"},
		"no duration":        {"token {\n  issue {\n    ttl = \"soon\"\n  }\n}", `line 3: bad value of ttl: "soon" is no duration; write one like 90s`, "correct it"},
		"no HCL":             {"serve {", "line 1", ""},
		"an object":          {"data = { a = 1 }", "line 1", ""},
		"nothing":            {"data = null", "line 1", ""},
		"a variable":         {"data = HOME", "line 1", ""},
		"two blocks":         {"serve {\n}\nserve {\n}", "line 3", ""},
		"no truth":           {"version {\n  json = \"perhaps\"\n}", `json: "perhaps" is neither true nor false`, "correct it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := runCLI(t, noEnv, "version", "--settings", settingsFile(t, c.text))
			var step *stepError
			require.ErrorAs(t, err, &step)
			require.True(t, step.usage)
			require.Contains(t, err.Error(), c.message)
			require.Contains(t, step.next, c.next)
			require.NotEmpty(t, step.next)
		})
	}
	_, _, err := runCLI(t, envOf(map[string]string{"HEADWATER_SETTINGS": "/nowhere/headwater.hcl"}), "version")
	require.ErrorContains(t, err, "read the settings")
}

// TestSettings_everyFlag sets each flag of each command by a settings file, in the block of
// the command and at the top, and then by the environment and the command line, which go
// before it.
func TestSettings_everyFlag(t *testing.T) {
	t.Parallel()
	// What a flag of a type can be set to, three of each.
	samples := map[string][3]string{
		"string": {"a", "b", "c"}, "bool": {"true", "false", "true"}, "int": {"11", "12", "13"}, "int64": {"11", "12", "13"}, "float64": {"0.25", "0.5", "0.75"},
		"duration": {"1h0m0s", "2h0m0s", "3h0m0s"}, "stringArray": {"a", "b", "c"}, "stringSlice": {"a", "b", "c"},
	}
	count := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		path := strings.Fields(cmd.CommandPath())[1:]
		var flags []*pflag.Flag
		file, env, args := "", map[string]string{}, []string{}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !inSettings(f.Name) {
				return
			}
			sample, ok := samples[f.Value.Type()]
			require.True(t, ok, "%s: a flag of type %s", f.Name, f.Value.Type())
			flags = append(flags, f)
			file += attributeName(f.Name) + " = \"" + sample[0] + "\"\n"
			env[envName(f.Name)] = sample[1]
			args = append(args, "--"+f.Name+"="+sample[2])
		})
		for _, name := range slices.Backward(path) {
			file = attributeName(name) + " {\n" + file + "}\n"
		}
		count += len(flags)
		settings := settingsFile(t, file)
		for i, given := range []struct {
			env  map[string]string
			args []string
		}{{nil, nil}, {env, nil}, {env, args}} {
			root := newRoot(envOf(given.env))
			found, rest, err := root.Find(path)
			require.NoError(t, err)
			require.NoError(t, found.ParseFlags(append(append(rest, given.args...), "--settings", settings)))
			require.NoError(t, applySettings(found, envOf(given.env)), "%s\n%s", cmd.CommandPath(), file)
			for _, f := range flags {
				value := strings.Trim(found.Flags().Lookup(f.Name).Value.String(), "[]")
				require.Equal(t, samples[f.Value.Type()][i], value, "%s --%s", cmd.CommandPath(), f.Name)
			}
		}
	}
	walk(newRoot(noEnv))
	require.Greater(t, count, 150)
}

// TestSettings_sample: the file that packages bring is right, as it is and with every
// comment that looks like a setting taken off.
func TestSettings_sample(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "scripts", "release", "packaging", "headwater.hcl"))
	require.NoError(t, err)
	_, _, err = runCLI(t, noEnv, "version", "--settings", settingsFile(t, string(raw)))
	require.NoError(t, err)
	set := strings.ReplaceAll(string(raw), "#:", "")
	require.Greater(t, strings.Count(string(raw), "#:"), 8)
	_, _, err = runCLI(t, noEnv, "version", "--settings", settingsFile(t, set))
	require.NoError(t, err)
}

func TestColours(t *testing.T) {
	t.Parallel()
	require.Equal(t, "ok", palette(false).state("ok"))
	require.Equal(t, "\x1b[32mok\x1b[0m", palette(true).state("ok"))
	require.Equal(t, "\x1b[31mfailing, upstream archived\x1b[0m", palette(true).state("failing, upstream archived"))
	require.False(t, bool(colourOf(&bytes.Buffer{}, noEnv)), "what is no terminal gets none")
	var widths []int
	for _, word := range []string{"ok", "failing", "waiting", "local"} {
		widths = append(widths, len(palette(true).state(word))-len(word))
	}
	require.Equal(t, []int{9, 9, 9, 9}, widths, "columns stay in line")
	// A real terminal: its master end reads what the program wrote.
	pty, tty := openTerminal(t)
	require.True(t, bool(colourOf(tty, noEnv)))
	require.False(t, bool(colourOf(tty, envOf(map[string]string{"NO_COLOR": "1"}))))
	require.True(t, bool(colourOf(tty, envOf(map[string]string{"NO_COLOR": ""}))), "an empty NO_COLOR is none")
	require.False(t, bool(colourOf(tty, envOf(map[string]string{"TERM": "dumb"}))))
	root := newRoot(envOf(map[string]string{"NO_COLOR": "1"}))
	root.SetOut(tty)
	require.False(t, bool(coloursOf(root)))
	_ = pty
}

// TestCompletion_everywhere: files are offered where a file is wanted, and nowhere else.
func TestCompletion_everywhere(t *testing.T) {
	t.Parallel()
	root := newRoot(noEnv)
	files := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			_, has := cmd.GetFlagCompletionFunc(f.Name)
			if f.Value.Type() == "bool" {
				return
			}
			named := strings.Contains(f.Usage, "file") && !strings.HasPrefix(f.Usage, "files and folders") || strings.Contains(f.Usage, "PEM") || strings.Contains(f.Usage, "directory of") || strings.Contains(f.Usage, "providers.hcl") || strings.Contains(f.Usage, "keyset") || strings.HasSuffix(f.Name, "-file")
			require.NotEqual(t, named, has, "%s --%s: %s", cmd.CommandPath(), f.Name, f.Usage)
			if !has {
				files++
			}
		})
		if cmd.Runnable() && cmd.HasParent() && cmd.Parent().Name() != "completion" {
			require.NotNil(t, cmd.ValidArgsFunction, cmd.CommandPath())
		}
	}
	walk(root)
	require.Greater(t, files, 20)
}

// TestGroups: what follows a command that has others below it is one of them, or refused.
func TestGroups(t *testing.T) {
	t.Parallel()
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if !cmd.HasAvailableSubCommands() || !cmd.HasParent() {
			return
		}
		args := strings.Fields(cmd.CommandPath())[1:]
		if takes := strings.Fields(cmd.Use); len(takes) > 1 {
			return // arguments of its own: audit [REPO], restore DIR, mirror URL
		}
		_, _, err := runCLI(t, noEnv, append(args, "bogus")...)
		var step *stepError
		require.ErrorAs(t, err, &step, cmd.CommandPath())
		require.True(t, step.usage)
		require.ErrorContains(t, err, `unknown command "bogus"`, cmd.CommandPath())
	}
	walk(newRoot(noEnv))
}

// TestCompletion asks as a shell does.
func TestCompletion(t *testing.T) {
	t.Parallel()
	s := startServer(t, dataDir(t.TempDir()))
	for _, name := range []string{"team/app", "team/web", "other/app", "team/größe: c++ ", "team/größe: c"} {
		_, err := s.cli(t, "repo", "create", name)
		require.NoError(t, err)
	}
	complete := func(args ...string) string {
		t.Helper()
		out, _, err := runCLI(t, envOf(map[string]string{"HEADWATER_DATA": string(s.dir)}), append([]string{"__complete"}, args...)...)
		require.NoError(t, err)
		return out
	}
	out := complete("repo", "show", "team/")
	require.Contains(t, out, "team/app\n")
	require.Contains(t, out, "team/web\n")
	require.NotContains(t, out, "other/app")
	require.Equal(t, "team/größe: c\n:4\n", complete("repo", "show", "team/größe:"), "a name that ends with a blank would lose it")
	require.NotContains(t, complete("repo", "show", "team/app", ""), "team/app", "it takes one")
	require.Contains(t, complete("webhook", "create", "https://example.org", "--repo", "o"), "other/app\n")
	require.Contains(t, complete("token", "--scope", ""), "git:write\n")
	require.Contains(t, complete("mirror", "--provider", ""), "gitea\n")
	require.Contains(t, complete("repo", "list", "--state", ""), "failing\n")
	require.Contains(t, complete("repo", "sync", "--class", ""), "not_found\n")
	require.Contains(t, complete("repo", "list", "--sort", ""), "lag\n")
	require.Equal(t, ":4\n", complete("org", "limits", ""), "no files")
	require.Equal(t, ":4\n", complete("org", "key", "disable", "local", ""))
	require.Equal(t, ":4\n", complete("audit", "--action", ""))
	require.Equal(t, ":0\n", complete("org", "key", "add", "local", ""), "a file")
	require.Contains(t, complete("provider", "check", ""), "gitea\n", "a provider or a file")
	require.Contains(t, complete("provider", "check", ""), "\n:0\n")
	require.Equal(t, "git:read,git:write\ngit:read,repo:write\ngit:read,org:read\n:4\n", complete("token", "--scope", "git:read,"), "after a comma, what is not there yet")
	require.Contains(t, complete("token", "issue", "--operation", "gitFetch,list"), "gitFetch,listBranches\n")
	require.Contains(t, complete("token", "issue", "--repo", "o"), "other/app\n")
	require.Contains(t, complete("help", ""), "repo\t")
	require.Contains(t, complete("help", "token", ""), "issue\t")
	require.Equal(t, "on\noff\n:4\n", complete("read-only", ""))
	require.Contains(t, complete("repo", "settings", "--freshness", ""), "serve\nrevalidate\nfail\n:4\n")
	out, _, err := runCLI(t, noEnv, "__complete", "repo", "show", "--data", t.TempDir(), "t")
	require.NoError(t, err, "no server is no completion")
	require.NotContains(t, out, "team")
}
