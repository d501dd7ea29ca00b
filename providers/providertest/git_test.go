package providertest

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// gitClient is a user's git in a folder of its own.
type gitClient struct {
	t   *testing.T
	dir string
	env []string
}

func newGitClient(t *testing.T, f *TestForge) *gitClient {
	t.Helper()
	c := &gitClient{t: t, dir: t.TempDir()}
	c.env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "LC_ALL=C",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.test",
		"GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.test",
		"GIT_SSL_CAINFO=" + f.CAFile(),
	}
	if f.CAFile() == "" {
		c.env = c.env[:len(c.env)-1]
	}
	return c
}

// try runs git and returns its output, both streams, and its error.
func (c *gitClient) try(args ...string) (string, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env = c.dir, c.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *gitClient) run(args ...string) string {
	c.t.Helper()
	out, err := c.try(args...)
	require.NoError(c.t, err, "git %v: %s", args, out)
	return out
}

// clone clones a URL into the client's folder.
func (c *gitClient) clone(url string) {
	c.t.Helper()
	c.run("clone", "--quiet", url, "work")
	c.dir += "/work"
}

func (c *gitClient) commit() {
	c.t.Helper()
	c.run("commit", "--quiet", "--allow-empty", "-m", "change")
}
