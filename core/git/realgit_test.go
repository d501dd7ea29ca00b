package git

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

// gitEnv is the environment of the real git in these tests: nothing of the
// machine's configuration, and commits that are the same every time.
func gitEnv() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=1700000000 +0000",
		"GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@example.com", "GIT_COMMITTER_DATE=1700000000 +0000",
	}
}

// gitResult is what a call of the real git left.
type gitResult struct {
	stdout, stderr string
	code           int
}

// tryGit runs git and takes failure for an answer.
func tryGit(t *testing.T, dir, stdin string, args ...string) gitResult {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, gitEnv(), strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); !exited { //nolint:errorlint // Run returns it unwrapped
		require.NoError(t, err)
	}
	return gitResult{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// mustGit runs git and returns its trimmed output.
func mustGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	r := tryGit(t, dir, "", args...)
	require.Zero(t, r.code, "git %v: %s", args, r.stderr)
	return strings.TrimSpace(r.stdout)
}

// newBare makes an empty bare repository.
func newBare(t *testing.T, flags ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "r.git")
	mustGit(t, "", append(append([]string{"init", "--quiet", "--bare", "--initial-branch=main"}, flags...), dir)...)
	return dir
}

// addCommit makes a commit with the message, puts ref on it, and returns its id.
func addCommit(t *testing.T, dir, ref, message string, parents ...string) string {
	t.Helper()
	tree := strings.TrimSpace(tryGit(t, dir, "", "mktree").stdout)
	args := []string{"commit-tree", "-m", message}
	for _, p := range parents {
		args = append(args, "-p", p)
	}
	id := mustGit(t, dir, append(args, tree)...)
	if ref != "" {
		mustGit(t, dir, "update-ref", ref, id)
	}
	return id
}

// httpBackend serves the repositories in root by the real git http-backend and
// returns the server's address.
func httpBackend(t *testing.T, root string, config ...string) string {
	t.Helper()
	env := append(gitEnv(), "GIT_PROJECT_ROOT="+root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=tester")
	for i, c := range config {
		key, value, _ := strings.Cut(c, "=")
		n := string(rune('0' + i))
		env = append(env, "GIT_CONFIG_KEY_"+n+"="+key, "GIT_CONFIG_VALUE_"+n+"="+value)
	}
	env = append(env, "GIT_CONFIG_COUNT="+string(rune('0'+len(config))))
	exe := filepath.Join(mustGit(t, "", "--exec-path"), "git-http-backend")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		(&cgi.Handler{
			Path: exe,
			Env:  append(env, "GIT_PROTOCOL="+req.Header.Get("Git-Protocol")),
		}).ServeHTTP(w, req)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// discardLog is for servers whose handshakes are meant to fail.
func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }
