package mirror_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
)

// A sync takes what old history has, and says of an object that it refuses which
// one, which check of git's, and what to do; the setting lets it in.
func TestService_fsck(t *testing.T) {
	t.Parallel()
	b := mirrortest.New(t, coretest.Options{})
	r := b.Synced("a")
	dir, err := b.Forge.Forge.RepoDir(coretest.ForgePath(r))
	require.NoError(t, err)
	set := func(broken []coretest.Broken) {
		var in strings.Builder
		for _, spec := range coretest.Refspecs(broken) {
			id, ref, _ := strings.Cut(spec, ":")
			in.WriteString("update " + ref + " " + id + "\n")
		}
		out, err := coretest.TryRun(t.Context(), dir, in.String(), "update-ref", "--stdin")
		require.NoError(t, err, out)
	}
	set(coretest.BrokenCommits(t, dir, "missingSpaceBeforeEmail", "missingNameBeforeEmail", "multipleAuthors", "badDate", "missingEmail", "missingTaggerEntry"))
	require.NoError(t, b.Sync(r, ""))
	b.RequireEqual(r)

	set(coretest.BrokenCommits(t, dir, "treeNotSorted"))
	require.Error(t, b.Sync(r, ""))
	state := b.State(r)
	require.Equal(t, core.ClassCorrupt, state.LastClass)
	require.Regexp(t, `^git refuses object [0-9a-f]{40}: treeNotSorted: not properly sorted; .*--tolerate treeNotSorted`, state.LastError)
	require.NoError(t, b.Store.SaveSettings(t.Context(), r.ID, core.Settings{Tolerate: []string{"treeNotSorted"}}))
	require.NoError(t, b.Sync(r, ""))
	b.RequireEqual(r)

	set(coretest.BrokenCommits(t, dir, "gitmodulesUrl"))
	require.Error(t, b.Sync(r, ""))
	require.Regexp(t, `^git refuses object [0-9a-f]{40} \(\.gitmodules\): gitmodulesUrl: .*never allowed`, b.State(r).LastError)
}
