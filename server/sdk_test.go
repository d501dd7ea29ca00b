package server_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/headwater-git/headwater/providers/providertest"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// TestServer_servesThePublishedSDK runs the TypeScript SDK, unchanged, against a
// server over TLS, and git with the remotes that the SDK makes.
func TestServer_servesThePublishedSDK(t *testing.T) {
	t.Parallel()
	forge := newForge(t, providertest.SeedOptions{Commits: 20, Branches: 2})
	s := servertest.Start(t, servertest.Options{TLS: true, Forges: []*providertest.TestForge{forge}})
	ca := s.CAFile(t)
	user, secret := forge.Credential()

	var remotes struct{ Local, Synced, Ephemeral, Import, ReadOnly string }
	printed := runSDK(t, "testdata/sdk/synced.mjs", s.PrivatePEM(), "HEADWATER_ORIGIN="+s.URL, "NODE_EXTRA_CA_CERTS="+ca,
		"FORGE_HOST="+forge.Host(), "FORGE_USER="+user, "FORGE_TOKEN="+secret)
	require.NoError(t, json.Unmarshal([]byte(printed), &remotes), printed)

	// The remotes carry their token themselves.
	git := func() *servertest.Client {
		c := s.ClientWith(t, "")
		c.Configure(map[string]string{"http.sslCAInfo": ca})
		return c
	}
	client := git().Clone(remotes.Synced)
	require.Equal(t, forge.Ref(origin, "refs/heads/main"), client.Git("rev-parse", "HEAD"))
	head := client.Commit("by way of the SDK's remote")
	client.Git("push", "--quiet", "origin", "HEAD:main")
	require.Equal(t, head, forge.Ref(origin, "refs/heads/main"))
	require.Equal(t, head, client.LsRemote(remotes.Synced)["refs/heads/main"])

	client.Git("push", "--quiet", remotes.Ephemeral, "HEAD:draft")
	require.Equal(t, map[string]string{"refs/heads/draft": head}, client.LsRemote(remotes.Ephemeral))
	require.NotContains(t, forge.Refs(origin), "refs/heads/draft")
	out, err := client.Try("push", remotes.ReadOnly, "HEAD:other")
	require.Error(t, err, out)
	require.Contains(t, out, "git:write")

	imported := git().Clone("")
	first := imported.Commit("first")
	imported.Git("push", "--quiet", remotes.Import, "HEAD:trunk")
	out, err = imported.Try("ls-remote", remotes.Import)
	require.Error(t, err, out)
	local := git().Clone(remotes.Local)
	require.Equal(t, "trunk", local.Git("branch", "--show-current"))
	require.Equal(t, first, local.Git("rev-parse", "HEAD"))

	for _, remote := range []string{remotes.Synced, remotes.Ephemeral, remotes.Import} {
		u, err := url.Parse(remote)
		require.NoError(t, err)
		token, _ := u.User.Password()
		require.NotContains(t, s.Log.String(), token)
	}
}

// runSDK runs a script beside the SDK's packages and returns what it prints.
func runSDK(t *testing.T, path string, stdin []byte, env ...string) string {
	t.Helper()
	script, err := os.ReadFile(path)
	require.NoError(t, err)
	copied, err := os.CreateTemp(installSDK(t), "server-*.mjs")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.Remove(copied.Name())) })
	_, err = copied.Write(script)
	require.NoError(t, err)
	require.NoError(t, copied.Close())

	node := exec.CommandContext(t.Context(), "node", copied.Name())
	node.Stdin = bytes.NewReader(stdin)
	node.Env = append(os.Environ(), env...)
	var stdout, stderr strings.Builder
	node.Stdout, node.Stderr = &stdout, &stderr
	require.NoError(t, node.Run(), "%s%s", &stdout, &stderr)
	return stdout.String()
}

// installSDK installs the packages that server/api pins and returns their
// folder, which is kept for later runs. Other test processes may want the same
// at the same time: a file lock lets one of them do it.
func installSDK(t *testing.T) string {
	t.Helper()
	manifest, err := os.ReadFile("api/testdata/sdk/package.json")
	require.NoError(t, err)
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	dir := filepath.Join(cache, "headwater-tests", "storage-sdk-1.17.1")
	require.NoError(t, os.MkdirAll(dir, 0o755))

	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	defer func() { require.NoError(t, lock.Close()) }()
	require.NoError(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))

	done := filepath.Join(dir, "installed")
	if kept, err := os.ReadFile(done); err == nil && bytes.Equal(kept, manifest) {
		return dir
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "package.json"), manifest, 0o644))
	npm := exec.CommandContext(t.Context(), "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
	npm.Dir = dir
	npm.WaitDelay = 10 * time.Second
	output, err := npm.CombinedOutput()
	require.NoError(t, err, "npm install: %s", output)
	require.NoError(t, os.WriteFile(done, manifest, 0o644))
	return dir
}
