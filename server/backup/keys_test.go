package backup

import (
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
)

// TestKeys_areWholeOrRefused seals files of keys up to the largest, and opens them.
func TestKeys_areWholeOrRefused(t *testing.T) {
	t.Parallel()
	pair, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	to, err := ForRecipients(pair.Recipient().String())
	require.NoError(t, err)
	with, err := WithIdentities(providers.Secret(pair.String()))
	require.NoError(t, err)
	for size, fits := range map[int]bool{0: true, 300: true, maxKeyFile: true, maxKeyFile + 1: false} {
		from, into, sealed := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), keysFile)
		content := make([]byte, size)
		require.NoError(t, os.Mkdir(filepath.Join(from, "keys"), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(from, "keys", "a"), content, 0o600))
		err := to.seal(from, sealed)
		if !fits {
			require.ErrorContains(t, err, "at most 1.0 MiB")
			continue
		}
		require.NoError(t, err)
		names, err := with.open(sealed, into)
		require.NoError(t, err)
		require.Equal(t, []string{"keys/a"}, names)
		got, err := os.ReadFile(filepath.Join(into, "keys", "a"))
		require.NoError(t, err)
		require.Equal(t, content, got)
	}
}
