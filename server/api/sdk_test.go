package api

import (
	"bytes"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestNew_servesThePublishedSDK runs the TypeScript SDK, unchanged, against the
// handler over TLS.
func TestNew_servesThePublishedSDK(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	server := httptest.NewTLSServer(b)
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))

	script, err := os.ReadFile("testdata/sdk/repositories.mjs")
	require.NoError(t, err)
	// Node looks for packages beside the script, so the script goes to them.
	dir := installSDK(t)
	copied, err := os.CreateTemp(dir, "repositories-*.mjs")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.Remove(copied.Name())) })
	_, err = copied.Write(script)
	require.NoError(t, err)
	require.NoError(t, copied.Close())

	node := exec.CommandContext(t.Context(), "node", copied.Name())
	node.Stdin = bytes.NewReader(b.private)
	node.Env = append(os.Environ(), "HEADWATER_ORIGIN="+server.URL, "NODE_EXTRA_CA_CERTS="+ca)
	output, err := node.CombinedOutput()
	require.NoError(t, err, "%s\nlog:\n%s", output, b.log)

	require.Equal(t, []string{"api:", "api:main"}, b.ledger.pulls)
	for _, secret := range []string{"hunter2", "swordfish", "eyJ"} {
		require.NotContains(t, b.log.String(), secret)
	}
}

// installSDK installs the packages of testdata/sdk/package.json and returns
// their folder, which is kept for later runs. Other test processes may want
// the same at the same time: a file lock lets one of them do it.
func installSDK(t *testing.T) string {
	t.Helper()
	manifest, err := os.ReadFile("testdata/sdk/package.json")
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
