package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadOnly switches the mode on and off as an operator does: every organisation finds
// in its audit who did it.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	s := startServer(t, "")
	said, err := s.cli(t, "read-only", "on", "--reason", "the disk is replaced")
	require.NoError(t, err)
	require.Contains(t, said, "the disk is replaced")
	said, err = s.cli(t, "read-only", "off")
	require.NoError(t, err)
	require.Contains(t, said, "takes writes")
	said, err = s.cli(t, "audit", "--json")
	require.NoError(t, err)
	for _, want := range []string{"server.readonly", "server.writes", "operator:"} {
		require.Contains(t, said, want)
	}
}
