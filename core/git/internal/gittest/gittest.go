// Package gittest runs the real git for the tests of core/git and the packages below
// it, apart from the runner that they test: another environment, other code.
package gittest

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Env returns the environment of the real git in these tests: nothing of the
// machine's configuration, and commits that are the same every time.
func Env() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=1700000000 +0000",
		"GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@example.com", "GIT_COMMITTER_DATE=1700000000 +0000",
	}
}

// Result is what a call of the real git wrote, and how it ended.
type Result struct {
	Stdout, Stderr string
	Code           int // exit status
}

// Try runs git in dir with the given standard input. A non-zero exit status is not an
// error: it is in the result.
func Try(t *testing.T, dir, stdin string, args ...string) Result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, Env(), strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); !exited { //nolint:errorlint // exec returns it unwrapped
		require.NoError(t, err)
	}
	return Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// Run runs git in dir and returns its trimmed standard output. A non-zero exit status
// ends the test.
func Run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	r := Try(t, dir, "", args...)
	require.Zero(t, r.Code, "git %v: %s", args, r.Stderr)
	return strings.TrimSpace(r.Stdout)
}

// NewBare makes an empty bare repository, with further flags of git init, and returns
// its path.
func NewBare(t *testing.T, flags ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "r.git")
	Run(t, "", append(append([]string{"init", "--quiet", "--bare", "--initial-branch=main"}, flags...), dir)...)
	return dir
}

// AddCommit makes a commit with the message, puts ref on it, and returns its id.
func AddCommit(t *testing.T, dir, ref, message string, parents ...string) string {
	t.Helper()
	tree := strings.TrimSpace(Try(t, dir, "", "mktree").Stdout)
	args := []string{"commit-tree", "-m", message}
	for _, p := range parents {
		args = append(args, "-p", p)
	}
	id := Run(t, dir, append(args, tree)...)
	if ref != "" {
		Run(t, dir, "update-ref", ref, id)
	}
	return id
}

// AddBlob writes a blob with the content and returns its id.
func AddBlob(t *testing.T, dir, content string) string {
	t.Helper()
	r := Try(t, dir, content, "hash-object", "-w", "--stdin")
	require.Zero(t, r.Code, r.Stderr)
	return strings.TrimSpace(r.Stdout)
}

// Mktree writes a tree with the lines of git mktree and returns its id.
func Mktree(t *testing.T, dir string, lines ...string) string {
	t.Helper()
	text := ""
	for _, line := range lines {
		text += line + "\n"
	}
	r := Try(t, dir, text, "mktree")
	require.Zero(t, r.Code, r.Stderr)
	return strings.TrimSpace(r.Stdout)
}

// HTTPBackend serves the repositories in root by the real git http-backend and
// returns the server's address.
func HTTPBackend(t *testing.T, root string, config ...string) string {
	t.Helper()
	env := append(Env(), "GIT_PROJECT_ROOT="+root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=tester")
	for i, c := range config {
		key, value, _ := strings.Cut(c, "=")
		n := string(rune('0' + i))
		env = append(env, "GIT_CONFIG_KEY_"+n+"="+key, "GIT_CONFIG_VALUE_"+n+"="+value)
	}
	env = append(env, "GIT_CONFIG_COUNT="+string(rune('0'+len(config))))
	exe := filepath.Join(Run(t, "", "--exec-path"), "git-http-backend")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		(&cgi.Handler{
			Path: exe,
			Env:  append(env, "GIT_PROTOCOL="+req.Header.Get("Git-Protocol")),
		}).ServeHTTP(w, req)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// DiscardLog returns a logger that writes nothing: for servers whose handshakes are meant to fail.
func DiscardLog() *log.Logger { return log.New(io.Discard, "", 0) }
