package api

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/server/internal/sdktest"
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
	sdktest.Run(t, "testdata/sdk/content.mjs", server.URL, ca, b.private)
}
