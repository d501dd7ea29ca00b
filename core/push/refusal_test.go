package push_test

import (
	"os/exec"
	"regexp"
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
	require.Contains(t, out, "`headwater repo settings --tolerate duplicateEntries local`", "it can be typed as it is printed")

	// Which folder it is about is found with the command that is printed.
	for _, c := range []coretest.Broken{chosen[3], hostile[0]} {
		tree := coretest.Run(t, clone, "rev-parse", string(c.Commit)+"^{tree}")
		for _, folder := range []string{"inner", "some folder"} {
			tree, err = coretest.TryRun(t.Context(), clone, "040000 tree "+tree+"\t"+folder+"\n", "mktree")
			require.NoError(t, err, tree)
		}
		commit := coretest.Run(t, clone, "commit-tree", "-m", "nested", tree)
		ref := "refs/heads/nested-" + c.Check
		coretest.Run(t, clone, "update-ref", ref, commit)
		out, err = b.client(clone, r, ref)
		require.Error(t, err)
		command := regexp.MustCompile("`(git rev-list [^`]*)`").FindStringSubmatch(out)
		require.NotNil(t, command, out)
		find := exec.CommandContext(t.Context(), "sh", "-c", command[1])
		find.Dir, find.Env = clone, coretest.Env()
		found, err := find.CombinedOutput()
		require.NoError(t, err, "%s: %s", command[1], found)
		require.Contains(t, string(found), " some folder/inner\n")
	}
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
