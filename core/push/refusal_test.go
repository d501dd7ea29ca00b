package push_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/fsck"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/push"
)

// What old history has passes in one push, what attacks clients is refused whatever
// the settings say, and the rest is as the settings say. Each refusal names
// object, check and what to do.
func TestService_ReceivePack_fsck(t *testing.T) {
	t.Parallel()
	b := newBench(t, coretest.Options{}, push.Options{})
	r := b.Local("local")
	clone, _ := b.seed(r, "refs/heads/main")
	old := coretest.BrokenCommits(t, clone,
		"badDate", "badDateOverflow", "badTimezone", "missingSpaceBeforeDate", "zeroPaddedDate", "badEmail", "badName", "missingEmail",
		"missingNameBeforeEmail", "missingSpaceBeforeEmail", "multipleAuthors", "zeroPaddedFilemode", "badFilemode", "missingTaggerEntry", "gitmodulesParse")
	out, err := b.client(clone, r, coretest.Refspecs(old)...)
	require.NoError(t, err, out)
	require.Len(t, b.Refs(r), len(old)+1)

	chosen := coretest.BrokenCommits(t, clone, fsck.Tolerable()[:5]...)
	hostile := coretest.BrokenCommits(t, clone, "hasDotgit", "gitmodulesUrl")
	for _, c := range slices.Concat(chosen, hostile) {
		out, err := b.client(clone, r, coretest.Refspecs([]coretest.Broken{c})...)
		require.Error(t, err, c.Check)
		// Git checks with one more id where a fault is two.
		require.Regexp(t, `remote unpack failed: git refuses object [0-9a-f]{40}( \(\.gitmodules\))?: `+c.Check+": ", out)
		require.Equal(t, 1, strings.Count(out, c.Check+": "), "said once: %s", out)
		require.NotContains(t, out, "fsck error in")
	}
	out, err = b.client(clone, r, coretest.Refspecs(chosen[3:4])...)
	require.Error(t, err)
	require.Contains(t, out, "--tolerate duplicateEntries")
	require.NoError(t, b.Store.SaveSettings(t.Context(), r.ID, core.Settings{Tolerate: append(fsck.Tolerable(), "hasDotgit", "gitmodulesUrl")}))
	out, err = b.client(clone, r, coretest.Refspecs(chosen)...)
	require.NoError(t, err, out)
	for _, c := range hostile {
		out, err := b.client(clone, r, coretest.Refspecs([]coretest.Broken{c})...)
		require.Error(t, err, c.Check)
		require.Contains(t, out, c.Check+": ")
		require.Contains(t, out, "never allowed")
	}
	require.Empty(t, b.received())
}
