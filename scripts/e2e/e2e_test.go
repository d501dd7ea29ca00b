package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

// TestE2E runs every script against forges, and then searches everything that
// was captured for secrets (invariant 15).
func TestE2E(t *testing.T) {
	s := newSuite(t)
	dirs := []string{"hosts", "cli", "access", "git", "network"}
	if testing.Short() {
		dirs = []string{"git"} // for another version of git
	}
	t.Run("scripts", func(t *testing.T) {
		for _, dir := range dirs {
			t.Run(dir, func(t *testing.T) {
				t.Parallel()
				testscript.Run(t, s.params(filepath.Join("testdata", dir), nil))
			})
		}
	})
	s.finish(t)
}

// suite is what the scripts of one test share.
type suite struct {
	bin      string // folder of the headwater binary
	captured string // folder of all outputs and logs
	vault    *vault
	sampler  *sampler
}

// program is the folder of the binary under test, which TestMain makes.
var program string

// TestMain builds the binary under test once, with the race detector if these tests have
// it. The real binary is used, not this one under another name, because what runs as a
// provider plugin is the image that the server runs from.
func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "headwater-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer os.RemoveAll(dir)
	// Without the tables for debuggers, as releases are: they are half of the work.
	build := exec.Command("go", "build", raceFlag, "-buildvcs=false", "-ldflags=-s -w", "-o", dir, "./server/cmd/headwater")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 2
	}
	program = dir
	return m.Run()
}

// newSuite starts to look at processes.
func newSuite(t *testing.T) *suite {
	t.Helper()
	s := &suite{bin: program, captured: t.TempDir(), vault: newVault()}
	s.sampler = startSampler(context.WithoutCancel(t.Context()))
	t.Cleanup(func() { s.sampler.stop() })
	return s
}

// commandFunc is a command of scripts.
type commandFunc func(w *world, ts *testscript.TestScript, neg bool, args []string)

// params returns how to run the scripts of a folder, with more commands than
// the usual ones.
func (s *suite) params(dir string, more map[string]commandFunc) testscript.Params {
	commands := map[string]func(*testscript.TestScript, bool, []string){}
	for _, set := range []map[string]commandFunc{commonCommands(), more} {
		for name, command := range set {
			commands[name] = func(ts *testscript.TestScript, neg bool, args []string) {
				command(worldOf(ts), ts, neg, args)
			}
		}
	}
	return testscript.Params{
		Dir:                dir,
		Setup:              s.setup,
		Cmds:               commands,
		RequireUniqueNames: true,
	}
}

// setup gives a script its world and a clean environment.
func (s *suite) setup(env *testscript.Env) error {
	w, err := newWorld(s, env)
	if err != nil {
		return err
	}
	env.Values[worldKey{}] = w
	env.Defer(w.close)
	env.Setenv("PATH", s.bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("HEADWATER_DATA", w.data)
	// Without this, a race-built program sleeps for a second before it ends.
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	for _, pair := range gitEnv(helperCommand("headwater git-credential")) {
		name, value, _ := strings.Cut(pair, "=")
		env.Setenv(name, value)
	}
	return nil
}

// gitEnv is the environment of git clients: nothing of the machine's
// configuration, one credential helper, paths in its questions.
func gitEnv(helper string) []string {
	return []string{
		"LC_ALL=C",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Script", "GIT_AUTHOR_EMAIL=script@example.test",
		"GIT_COMMITTER_NAME=Script", "GIT_COMMITTER_EMAIL=script@example.test",
		"GIT_CONFIG_COUNT=5",
		"GIT_CONFIG_KEY_0=credential.helper", "GIT_CONFIG_VALUE_0=" + helper,
		"GIT_CONFIG_KEY_1=credential.useHttpPath", "GIT_CONFIG_VALUE_1=true",
		"GIT_CONFIG_KEY_2=init.defaultBranch", "GIT_CONFIG_VALUE_2=main",
		"GIT_CONFIG_KEY_3=advice.detachedHead", "GIT_CONFIG_VALUE_3=false",
		// Two processes after each commit and fetch, which find nothing to do.
		"GIT_CONFIG_KEY_4=maintenance.auto", "GIT_CONFIG_VALUE_4=false",
	}
}

// helperCommand is a credential helper in git's notation for shell commands.
func helperCommand(shell string) string { return "!" + shell }

// finish ends the sampling and searches what all scripts left.
func (s *suite) finish(t *testing.T) {
	t.Helper()
	lines := s.sampler.stop()
	hits := s.vault.searchTree(s.captured)
	for _, line := range lines {
		hits = append(hits, s.vault.search("command line of a process", []byte(line))...)
	}
	require.Empty(t, hits, "secrets came out")
	if !t.Failed() && len(s.vault.names()) > 0 {
		require.NotEmpty(t, lines, "no process was seen: the search of command lines has found nothing because it looked at nothing")
	}
}
