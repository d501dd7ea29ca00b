// Package sdktest runs scripts that drive a server with the published
// TypeScript SDK, unchanged.
package sdktest

import (
	"bytes"
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// manifest is the package.json that pins the SDK.
//
//go:embed package.json
var manifest []byte

// Install installs the SDK and returns the folder that scripts must lie in. It
// is kept for later runs. Other test processes may want the same at the same
// time: a file lock lets one of them do it.
func Install(t testing.TB) string {
	t.Helper()
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

// Run runs a script, fails the test if the script fails, and returns what it
// prints. The script gets the private key on standard input, the origin of the server in HEADWATER_ORIGIN,
// and trusts the certificate in the file ca. Env is "K=V" on top.
func Run(t testing.TB, script, origin, ca string, key []byte, env ...string) string {
	t.Helper()
	text, err := os.ReadFile(script)
	require.NoError(t, err)
	// Node looks for packages beside the script, so the script goes to them.
	copied, err := os.CreateTemp(Install(t), "*-"+filepath.Base(script))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.Remove(copied.Name())) })
	_, err = copied.Write(text)
	require.NoError(t, err)
	require.NoError(t, copied.Close())
	node := exec.CommandContext(t.Context(), "node", copied.Name())
	node.Stdin = bytes.NewReader(key)
	node.Env = append(append(os.Environ(), "HEADWATER_ORIGIN="+origin, "NODE_EXTRA_CA_CERTS="+ca), env...)
	node.WaitDelay = 10 * time.Second
	var stdout, stderr bytes.Buffer
	node.Stdout, node.Stderr = &stdout, &stderr
	require.NoError(t, node.Run(), "%s%s", &stdout, &stderr)
	return stdout.String()
}
