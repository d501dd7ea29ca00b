package mirror_test

import (
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/internal/coretest"
	"github.com/headwater-git/headwater/core/mirror/mirrortest"
)

// A sync takes what old history has, and says of an object that it refuses which
// one, where it is, which check of git's, and what to do; the setting lets it in.
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
	require.Regexp(t, `^git refuses object [0-9a-f]{40} \(the top folder\): treeNotSorted: not properly sorted; .*--tolerate treeNotSorted REPO.$`, state.LastError)
	require.NoError(t, b.Store.SaveSettings(t.Context(), r.ID, core.Settings{Tolerate: []string{"treeNotSorted"}}))
	require.NoError(t, b.Sync(r, ""))
	b.RequireEqual(r)

	// A folder below: by the fetch of all refs, and by that of one ref.
	file := coretest.WriteObject(t, dir, "blob", []byte("x"))
	entry := func(mode, name, id string) string {
		raw, err := hex.DecodeString(id)
		require.NoError(t, err)
		return mode + " " + name + "\x00" + string(raw)
	}
	inner := coretest.WriteObject(t, dir, "tree", []byte(entry("100644", "same", file)+entry("100644", "same", file)))
	outer := coretest.WriteObject(t, dir, "tree", []byte(entry("40000", "old work", inner)))
	top := coretest.WriteObject(t, dir, "tree", []byte(entry("40000", "src", outer)))
	const who = "A <a@example.com> 1700000000 +0000"
	commit := coretest.WriteObject(t, dir, "commit", []byte("tree "+top+"\nauthor "+who+"\ncommitter "+who+"\n\nmessage\n"))
	set([]coretest.Broken{{Check: "duplicateEntries", Commit: core.ObjectID(commit)}})
	want := "git refuses object " + inner + " (the folder src/old work): duplicateEntries: contains duplicate file entries; "
	require.Error(t, b.Sync(r, "refs/heads/duplicateEntries"))
	require.Contains(t, b.State(r).LastError, want)
	require.Error(t, b.Sync(r, ""))
	require.Contains(t, b.State(r).LastError, want)
	require.NotContains(t, b.State(r).LastError, "grep", "nothing is left to look for")
	left, err := filepath.Glob(filepath.Join(b.Repos.TempDir(), "refused-object-*"))
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = coretest.TryRun(t.Context(), b.Repos.Path(r.ID), "", "cat-file", "-e", inner)
	require.Error(t, err, "nothing of it is here")

	require.NoError(t, b.Store.SaveSettings(t.Context(), r.ID, core.Settings{Tolerate: []string{"treeNotSorted", "duplicateEntries"}}))
	require.NoError(t, b.Sync(r, ""))
	set(coretest.BrokenCommits(t, dir, "gitmodulesUrl"))
	require.Error(t, b.Sync(r, ""))
	require.Regexp(t, `^git refuses object [0-9a-f]{40} \(\.gitmodules\): gitmodulesUrl: .*never allowed`, b.State(r).LastError)
}
