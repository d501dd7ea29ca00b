package netguard_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers/netguard"
)

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"localhost", "LOCALHOST:80", "127.0.0.1", "127.8.9.10:443", "::1", "[::1]", "[::1]:8080", "::ffff:127.0.0.1"} {
		require.True(t, netguard.IsLoopback(host), host)
	}
	for _, host := range []string{"", ":80", "0.0.0.0:80", "::", "10.0.0.1", "example.org", "localhost.example.org", "127.0.0.1.example.org:80", "128.0.0.1"} {
		require.False(t, netguard.IsLoopback(host), host)
	}
}
