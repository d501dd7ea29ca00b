//go:build npm

package sdk

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/longtest"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// newFake starts a forge that looks like Gitea.
func newFake(t *testing.T) *fakeHost {
	t.Helper()
	f, err := forgetest.NewForge(filepath.Join(t.TempDir(), "forge"), forgetest.ForgeOptions{HostKind: forgetest.HostGitea})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return newFakeHost(f)
}

// kinds are the kinds of repositories to test. A synced one does all that a local
// one does, which is enough for another version of git.
func kinds() []kind {
	if testing.Short() {
		return []kind{synced}
	}
	return []kind{local, synced}
}

func TestSDK_localRepositories(t *testing.T) {
	t.Parallel()
	if !slices.Contains(kinds(), local) {
		return
	}
	b := newBench(t, newFake(t))
	requireCovered(t, b.node("suite.mjs", local), "Repo.pullUpstream")
}

func TestSDK_syncedRepositories(t *testing.T) {
	t.Parallel()
	b := newBench(t, newFake(t))
	requireCovered(t, b.node("suite.mjs", synced))
}

// largeGrowth is by how many MiB the server's process may grow while files of
// 64 MiB pass through it: less than one of them.
const largeGrowth = 48

// A synced repository needs as much memory as a local one, and the way to its host.
func TestSDK_largeFiles(t *testing.T) {
	t.Parallel()
	for _, k := range kinds() {
		if k == local && !longtest.Long() {
			continue
		}
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			b := startBench(t, "measured", newFake(t))
			b.node("large.mjs", k, fmt.Sprintf("SDK_MEMORY_MIB=%d", largeGrowth))
		})
	}
}
