package forgetest

import (
	"context"
	"encoding/base64"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
)

// GitClient is a user's git in a folder of its own.
type GitClient struct {
	t   testing.TB
	dir string
	env []string
}

// NewGitClient makes a git that trusts the certificate of a forge.
func NewGitClient(t testing.TB, f *TestForge) *GitClient {
	t.Helper()
	c := &GitClient{t: t, dir: t.TempDir()}
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

// Try runs git and returns its output, both streams, and its error.
func (c *GitClient) Try(args ...string) (string, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env = c.dir, c.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Run is [GitClient.Try], and fails the test if git fails.
func (c *GitClient) Run(args ...string) string {
	c.t.Helper()
	out, err := c.Try(args...)
	require.NoError(c.t, err, "git %v: %s", args, out)
	return out
}

// Clone clones a URL into the client's folder.
func (c *GitClient) Clone(url string) {
	c.t.Helper()
	c.Run("clone", "--quiet", url, "work")
	c.dir += "/work"
}

// Commit makes an empty commit in the folder of the last clone.
func (c *GitClient) Commit() {
	c.t.Helper()
	c.Run("commit", "--quiet", "--allow-empty", "-m", "change")
}

// Authorize makes every further git send a credential, from the environment.
func (c *GitClient) Authorize(credential providers.Credential) {
	c.env = slices.DeleteFunc(slices.Clone(c.env), func(v string) bool {
		return len(v) > len("GIT_CONFIG_") && v[:len("GIT_CONFIG_")] == "GIT_CONFIG_" &&
			v != "GIT_CONFIG_GLOBAL=/dev/null" && v != "GIT_CONFIG_NOSYSTEM=1"
	})
	var header string
	switch credential.Kind {
	case providers.CredentialNone:
		return
	case providers.CredentialHeader:
		header = credential.Header + ": " + credential.Secret.Reveal()
	default:
		header = "Authorization: Basic " +
			base64.StdEncoding.EncodeToString([]byte(credential.Username+":"+credential.Secret.Reveal()))
	}
	c.env = append(c.env, "GIT_CONFIG_COUNT=1",
		"GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0="+header)
}
