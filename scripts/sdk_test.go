//go:build npm

package scripts_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers/forgetest"
)

// TestSDK_publishedTypeScript runs the published SDK against the built server,
// and git against the remotes that the SDK makes. scripts/test installs the
// SDK and sets HEADWATER_NODE_MODULES.
func TestSDK_publishedTypeScript(t *testing.T) {
	t.Parallel()
	modules := os.Getenv("HEADWATER_NODE_MODULES")
	require.NotEmpty(t, modules, "run scripts/test, which installs the SDK")
	dir := t.TempDir()
	forge := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitea})
	forge.CreateRepo("river/delta", true)
	forge.Seed("river/delta", forgetest.SeedOptions{Commits: 10, Branches: 1})
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	token := write("token", forge.Token())
	config := write("providers.hcl", "provider \"gitea\" {\n  host \""+forge.Host()+"\" {\n    scheme = \"http\"\n    allow_private = true\n  }\n}\n")
	url := startProgram(t, filepath.Join(dir, "data"), "--config", config)

	script := exec.CommandContext(t.Context(), "node", filepath.Join("npm", "sdk.mjs"))
	script.Env = append(os.Environ(), "SDK_SERVER="+url, "SDK_FORGE="+forge.Host(), "SDK_TOKEN_FILE="+token,
		"SDK_KEY_FILE="+filepath.Join(dir, "data", "keys", "local.pem"))
	script.Stderr = os.Stderr
	out, err := script.Output()
	require.NoError(t, err)
	var urls struct{ Remote, Ephemeral string }
	require.NoError(t, json.Unmarshal(out, &urls))

	// The SDK always writes https; this server listens without TLS.
	git := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	plain := func(url string) string { return strings.Replace(url, "https://", "http://", 1) }
	work := filepath.Join(dir, "work")
	git("clone", "--quiet", plain(urls.Remote), work)
	require.Equal(t, forge.Ref("river/delta", "refs/heads/main"), strings.TrimSpace(git("-C", work, "rev-parse", "HEAD")))
	git("-C", work, "push", "--quiet", plain(urls.Ephemeral), "HEAD:refs/heads/scratch")
	require.Contains(t, git("ls-remote", plain(urls.Ephemeral)), "refs/heads/scratch")
	require.Empty(t, forge.Ref("river/delta", "refs/heads/scratch"))
}

// startProgram builds the program, serves a fresh data directory and returns
// the URL. The server is stopped with the test.
func startProgram(t *testing.T, data string, args ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "headwater")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../server/cmd/headwater")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))

	cmd := exec.Command(program, append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--admin-listen=none"}, args...)...)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		_, _ = io.Copy(io.Discard, stdout)
		require.NoError(t, cmd.Wait())
	})
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if _, url, ok := strings.Cut(lines.Text(), "is listening on "); ok {
			return url
		}
	}
	require.FailNow(t, "the server did not start")
	return ""
}
