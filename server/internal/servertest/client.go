package servertest

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// clientTimeout bounds one git of a test.
const clientTimeout = 2 * time.Minute

// Client is a user's git in a working tree of its own.
type Client struct {
	t   testing.TB
	Dir string
	// Env is the environment; a test may append to it.
	Env []string
}

// gitEnv is a clean environment for git.
func gitEnv(home string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LC_ALL=C",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.test",
		"GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.test",
	}
}

// Client returns a git client that is authorised for a repository, in an
// empty folder. The token travels in the environment.
func (c Caller) Client(t testing.TB, repo string) *Client {
	t.Helper()
	return c.ClientWith(t, c.Token(t, repo))
}

// ClientWith is Client with a given token; "" sends none.
func (c Caller) ClientWith(t testing.TB, token string) *Client {
	t.Helper()
	dir := t.TempDir()
	client := &Client{t: t, Dir: dir, Env: gitEnv(dir)}
	config := map[string]string{
		"init.defaultBranch": "main", "advice.detachedHead": "false",
		"maintenance.auto": "false", // two processes after each commit and fetch, which find nothing to do
	}
	if token != "" {
		basic := base64.StdEncoding.EncodeToString([]byte("t:" + token))
		config["http."+c.URL+"/.extraHeader"] = "Authorization: Basic " + basic
	}
	client.Configure(config)
	return client
}

// Configure adds git configuration to the environment.
func (c *Client) Configure(config map[string]string) {
	n := 0
	env := c.Env[:0:0]
	for _, v := range c.Env {
		if count, ok := strings.CutPrefix(v, "GIT_CONFIG_COUNT="); ok {
			n, _ = strconv.Atoi(count) // written below
			continue
		}
		env = append(env, v)
	}
	for key, value := range config {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", n, key), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", n, value))
		n++
	}
	c.Env = append(env, fmt.Sprintf("GIT_CONFIG_COUNT=%d", n))
}

// Command returns a git command that has not been started. It and its children
// get SIGTERM, then SIGKILL, when ctx ends.
func (c *Client) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env = c.Dir, c.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Try runs git and returns what it prints, on both streams, and its error.
func (c *Client) Try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), clientTimeout)
	defer cancel()
	out, err := c.Command(ctx, args...).CombinedOutput()
	return string(out), err
}

// Git runs git and returns what it prints on standard output, without the last
// newline.
func (c *Client) Git(args ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), clientTimeout)
	defer cancel()
	cmd := c.Command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(c.t, cmd.Run(), "git %v: %s%s", args, &stdout, &stderr)
	return strings.TrimSuffix(stdout.String(), "\n")
}

// Clone clones a URL and moves into the clone. With no URL, it makes an empty
// repository.
func (c *Client) Clone(url string) *Client {
	c.t.Helper()
	if url == "" {
		require.NoError(c.t, c.initWork(configOf("")))
		return c
	}
	c.Git("clone", "--quiet", url, "work")
	c.Dir = filepath.Join(c.Dir, "work")
	return c
}

// LsRemote lists a remote's refs by name.
func (c *Client) LsRemote(url string, args ...string) map[string]string {
	c.t.Helper()
	refs := map[string]string{}
	for line := range strings.Lines(c.Git(append([]string{"ls-remote", url}, args...)...)) {
		id, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		refs[name] = id
	}
	return refs
}

// Fsck checks a repository on disk and returns what is wrong with it.
func (s *Server) Fsck(t testing.TB, name string) string {
	t.Helper()
	dir := s.Engine().Services().Repos.Path(s.Repo(t, name).ID)
	c := &Client{t: t, Dir: dir, Env: append(gitEnv(os.TempDir()), "GIT_DIR="+dir)}
	out, err := c.Try("fsck", "--strict", "--no-dangling", "--no-progress")
	if err != nil {
		return out + err.Error()
	}
	return strings.TrimSpace(strings.ReplaceAll(out, "notice: HEAD points to an unborn branch (main)\nnotice: No default references", ""))
}
