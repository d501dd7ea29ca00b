package server_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// advertisement returns the body of info/refs in protocol v0.
func (b *bench) advertisement(t *testing.T, remote, service string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.Remote(remote)+"/info/refs?service="+service, nil)
	require.NoError(t, err)
	r.SetBasicAuth("t", b.Token(t, mirror))
	r.Close = true
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}
