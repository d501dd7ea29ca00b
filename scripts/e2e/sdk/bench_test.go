//go:build npm

package sdk

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	startTimeout = time.Minute
	stopTimeout  = time.Minute
	nodeTimeout  = 15 * time.Minute // on a busy machine a push takes seconds
)

// programs is where TestMain builds the server: "headwater" as these tests are
// built, perhaps with the race detector, and "measured" without, since the
// detector takes many times the memory.
var programs string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "headwater-sdk-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer os.RemoveAll(dir)
	if err := buildServer(raceFlag, filepath.Join(dir, "headwater")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	const detectsNoRace = "-race=false"
	measured := func(path string) error { return os.Link(filepath.Join(dir, "headwater"), path) }
	if raceFlag != detectsNoRace {
		measured = func(path string) error { return buildServer(detectsNoRace, path) }
	}
	if err := measured(filepath.Join(dir, "measured")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	programs = dir
	return m.Run()
}

// buildServer builds the server, without the tables for debuggers, as releases are: they
// are half of the work.
func buildServer(race, path string) error {
	build := exec.Command("go", "build", race, "-buildvcs=false", "-ldflags=-s -w", "-o", path, "./server/cmd/headwater")
	build.Dir = filepath.Join("..", "..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// modules is the folder that the SDK is installed in.
func modules(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("HEADWATER_NODE_MODULES")
	require.NotEmpty(t, dir, "run scripts/test, which installs the SDK and sets HEADWATER_NODE_MODULES")
	return dir
}

// bench is one running server, and an upstream host that it may reach.
type bench struct {
	t        *testing.T
	url      string // https
	data     string
	upstream upstream
	cmd      *exec.Cmd
	log      string
	exited   chan struct{}
	err      error // of the server's end, once exited is closed
}

// newBench starts the server over TLS with a certificate of its own. When the
// test ends, the server is stopped and what it leaves behind is judged.
func newBench(t *testing.T, up upstream) *bench {
	t.Helper()
	return startBench(t, "headwater", up)
}

// startBench is newBench with one of the programs, and more arguments of serve.
func startBench(t *testing.T, program string, up upstream, args ...string) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{t: t, data: filepath.Join(dir, "data"), log: filepath.Join(dir, "server.log"), upstream: up, exited: make(chan struct{})}
	config := filepath.Join(dir, "providers.hcl")
	hcl := fmt.Sprintf("provider \"gitea\" {\n  host %q {\n    scheme = \"http\"\n    allow_private = true\n  }\n}\n", up.host())
	require.NoError(t, os.WriteFile(config, []byte(hcl), 0o600))
	log, err := os.Create(b.log)
	require.NoError(t, err)
	args = append([]string{"serve", "--data", b.data, "--listen", "127.0.0.1:0", "--admin-listen=none", "--config", config, "--tls-self-signed", "--log-json"}, args...)
	b.cmd = exec.Command(filepath.Join(programs, program), args...)
	// GORACE: without it, a race-built program sleeps for a second before it ends.
	b.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GORACE=atexit_sleep_ms=0 halt_on_error=1"}
	b.cmd.Stderr = log
	stdout, err := b.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, b.cmd.Start())
	ready := make(chan string, 1)
	go func() {
		defer close(b.exited)
		for lines := bufio.NewScanner(io.TeeReader(stdout, log)); lines.Scan(); {
			if _, url, ok := strings.Cut(lines.Text(), "is listening on "); ok {
				ready <- url
			}
		}
		b.err = errors.Join(b.cmd.Wait(), log.Close())
	}()
	t.Cleanup(b.finish)
	select {
	case b.url = <-ready:
	case <-b.exited:
		require.FailNow(t, "the server did not start", b.logged())
	case <-time.After(startTimeout):
		require.FailNow(t, "the server did not start in time", b.logged())
	}
	return b
}

func (b *bench) logged() string {
	text, _ := os.ReadFile(b.log) // for a message only
	return string(text)
}

// ca is the certificate that clients are configured to trust.
func (b *bench) ca() string { return filepath.Join(b.data, "tls", "ca.pem") }

// key is the file of the private key that signs tokens.
func (b *bench) key() string { return filepath.Join(b.data, "keys", "local.pem") }

// finish stops the server as an operator does, and judges what is on disk.
func (b *bench) finish() {
	b.tidy()
	_ = b.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-b.exited:
	case <-time.After(stopTimeout):
		_ = b.cmd.Process.Kill()
		<-b.exited
		b.t.Error("the server did not end in time")
	}
	if b.err != nil {
		b.t.Errorf("the server did not end well: %v", b.err)
	}
	if b.t.Failed() && os.Getenv("HEADWATER_TEST_LOG") != "" {
		b.t.Log(b.logged())
	}
	b.fsck()
}

// tidy checks that the server, which is idle now, keeps no temporary file.
func (b *bench) tidy() {
	require.Eventually(b.t, func() bool { return len(files(b.t, filepath.Join(b.data, "tmp"))) == 0 }, time.Minute, 50*time.Millisecond,
		"temporary files are left: %v", files(b.t, filepath.Join(b.data, "tmp")))
}

// files returns everything below a folder.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if path != dir {
			found = append(found, path)
		}
		return err
	})
	require.NoError(t, err)
	return found
}

// fsck has git check every repository of the data directory.
func (b *bench) fsck() {
	checked := 0
	err := filepath.WalkDir(filepath.Join(b.data, "repos"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() || !strings.HasSuffix(path, ".git") {
			return err
		}
		checked++
		out, err := git(context.Background(), path, "fsck", "--strict", "--no-dangling", "--no-progress")
		for line := range strings.Lines(out) {
			if !strings.HasPrefix(line, "notice: ") { // of a repository without commits
				b.t.Errorf("git fsck of %s: %s", path, line)
			}
		}
		if err != nil {
			b.t.Errorf("git fsck of %s: %v", path, err)
		}
		return filepath.SkipDir
	})
	require.NoError(b.t, err)
	require.Positive(b.t, checked, "no repository was found to check")
}

// gitEnv is a clean environment for git.
func gitEnv() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "LC_ALL=C",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.test", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.test",
	}
}

// git runs git in a repository and returns what it prints on both streams.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(gitEnv(), "GIT_DIR="+dir)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// line is what the scripts print.
type line struct {
	Scenario  string   `json:"scenario"`
	MS        int      `json:"ms"`
	Error     string   `json:"error"`
	Succeeded []string `json:"succeeded"`
}

// node runs a script with the SDK against the server. Each of its scenarios is
// a subtest. It returns the public methods that have succeeded at least once.
func (b *bench) node(script string, kind kind, env ...string) []string {
	t := b.t
	ctx, cancel := context.WithTimeout(t.Context(), nodeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", script)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(), "HEADWATER_NODE_MODULES=" + modules(t),
		"NODE_EXTRA_CA_CERTS=" + b.ca(), "SDK_ORIGIN=" + b.url, "SDK_KEY_FILE=" + b.key(), "SDK_CONTROL=" + b.control(), "SDK_KIND=" + string(kind),
		"SDK_MATCH=" + os.Getenv("SDK_MATCH"), // to run some scenarios by hand
	}, env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var succeeded []string
	complete := false
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var l line
		require.NoError(t, json.Unmarshal(lines.Bytes(), &l), lines.Text())
		if l.Scenario == "" {
			succeeded, complete = l.Succeeded, true
			continue
		}
		t.Run(l.Scenario, func(t *testing.T) {
			t.Logf("%d ms", l.MS)
			require.Empty(t, l.Error)
		})
	}
	require.NoError(t, lines.Err())
	require.NoError(t, cmd.Wait(), stderr.String())
	require.True(t, complete, "the script ended early: %s", &stderr)
	return succeeded
}
