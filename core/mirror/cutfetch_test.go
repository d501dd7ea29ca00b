package mirror_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
)

// A fetch that cannot write leaves nothing, as soon as it has failed: not what
// belongs to a push that is under way, and not while the repository is repacked. The
// state of the sync says what ran out.
func TestService_cutFetchLeavesNothing(t *testing.T) {
	t.Parallel()
	program, limit := coretest.LimitedGit(t, "fetch")
	b := mirrortest.New(t, coretest.Options{GitPath: program})
	r, tip := b.Mirrored("a")
	for i := range 40 { // more than fetch.unpackLimit objects: a pack
		tip = b.ForgeCommit(r, "refs/heads/main", fmt.Sprint("commit ", i), tip)
	}
	pack := filepath.Join(b.Path(r), "objects", "pack")
	live := []string{filepath.Join(pack, "..", "tmp_objdir-incoming-live", "pack", "tmp_pack_live"), filepath.Join(pack, "pack-1.keep")}
	require.NoError(t, os.MkdirAll(filepath.Dir(live[0]), 0o700))
	for _, path := range live {
		require.NoError(t, os.WriteFile(path, []byte("receive-pack 1 on host"), 0o600))
	}
	dead := filepath.Join(pack, "pack-2.keep")
	require.NoError(t, os.WriteFile(dead, []byte("fetch-pack 1 on host"), 0o600))
	left := func() []string {
		found, err := filepath.Glob(filepath.Join(pack, "tmp_*"))
		require.NoError(t, err)
		return found
	}

	require.NoError(t, os.WriteFile(limit, nil, 0o600))
	unlock, ok := b.Repos.Locks().TryMaintain(r.ID)
	require.True(t, ok)
	require.Error(t, b.Sync(r, ""))
	require.Len(t, left(), 1, "a repack may own it")
	unlock()
	require.Error(t, b.Sync(r, ""))
	require.Empty(t, left())
	require.NoFileExists(t, dead)
	for _, path := range live {
		require.FileExists(t, path)
	}
	state := b.State(r)
	require.Equal(t, core.ClassResource, state.LastClass, state.LastError)
	require.Contains(t, state.LastError, "a file in the folder "+r.ID+".git of the data directory reached the largest size")
	require.Contains(t, state.LastError, "ulimit -f")
	require.False(t, strings.Contains(state.LastError, b.Dir), state.LastError)

	require.NoError(t, os.Remove(limit))
	require.NoError(t, b.Sync(r, ""))
	b.RequireEqual(r)
}
