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

// TestNew_servesThePublishedSDK runs the TypeScript SDK, unchanged, against the
// handler over TLS.
func TestNew_servesThePublishedSDK(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	server := httptest.NewTLSServer(b)
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))

	sdktest.Run(t, "testdata/sdk/repositories.mjs", server.URL, ca, b.private)

	require.Equal(t, []string{"api:", "api:main"}, b.ledger.pulls)
	for _, secret := range []string{"hunter2", "swordfish", "eyJ"} {
		require.NotContains(t, b.log.String(), secret)
	}
}
