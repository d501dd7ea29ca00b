//go:build npm

package sdk

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers/providertest"
)

// newFake starts a forge in Gitea's dress.
func newFake(t *testing.T) *fakeHost {
	t.Helper()
	f, err := providertest.NewForge(filepath.Join(t.TempDir(), "forge"), providertest.ForgeOptions{Dress: providertest.DressGitea})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return newFakeHost(f)
}

func TestSDK_localRepositories(t *testing.T) {
	t.Parallel()
	b := newBench(t, newFake(t))
	b.node("suite.mjs", local)
}

func TestSDK_syncedRepositories(t *testing.T) {
	t.Parallel()
	b := newBench(t, newFake(t))
	b.node("suite.mjs", synced)
}
