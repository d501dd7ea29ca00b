package api

import (
	"bytes"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestContent_servesThePublishedSDK runs every reading call of the TypeScript
// SDK, unchanged, against the handler over TLS.
func TestContent_servesThePublishedSDK(t *testing.T) {
	t.Parallel()
	b := newReadBench(t)
	server := httptest.NewTLSServer(b)
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	script, err := os.ReadFile("testdata/sdk/content.mjs")
	require.NoError(t, err)
	// Node looks for packages beside the script, so the script goes to them.
	copied := filepath.Join(installSDK(t), "content-"+filepath.Base(b.dir)+".mjs")
	require.NoError(t, os.WriteFile(copied, script, 0o600))
	t.Cleanup(func() { require.NoError(t, os.Remove(copied)) })

	node := exec.CommandContext(t.Context(), "node", copied)
	node.Stdin = bytes.NewReader(b.private)
	node.Env = append(os.Environ(), "HEADWATER_ORIGIN="+server.URL, "NODE_EXTRA_CA_CERTS="+ca)
	output, err := node.CombinedOutput()
	require.NoError(t, err, "%s\nlog:\n%s", output, b.log)
}
