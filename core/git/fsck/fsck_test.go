package fsck

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// The git that is installed, whichever it is, lists its checks itself
// (git-help(1), --config-for-completion).
func TestChecks_areThoseOfGit(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "git", "help", "--config-for-completion").Output()
	require.NoError(t, err)
	found := 0
	for line := range strings.Lines(string(out)) {
		id, ok := strings.CutPrefix(strings.TrimSpace(line), "fsck.")
		if !ok || id == "skipList" { // a file of objects to leave out
			continue
		}
		found++
		c, ok := Find(id)
		require.True(t, ok, "git has a check that is in no class: %s", id)
		require.Equal(t, id, c.ID, "git's spelling")
	}
	require.Greater(t, found, 50)
}

func TestChecks_eachOnceWithItsReason(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range Checks() {
		require.False(t, seen[c.ID], c.ID)
		seen[c.ID] = true
		require.NotEmpty(t, c.Reason, c.ID)
	}
}

// The document lists what is tolerated, and where.
func TestChecks_areDocumented(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "upstreams.md"))
	require.NoError(t, err)
	_, text, found := strings.Cut(string(raw), "- **Tolerated everywhere**")
	require.True(t, found)
	everywhere, text, found := strings.Cut(text, "- **Tolerated by the repository's setting**")
	require.True(t, found)
	bySetting, text, found := strings.Cut(text, "- **Never**")
	require.True(t, found)
	never, _, _ := strings.Cut(text, "```")
	for _, c := range Checks() {
		id := "`" + c.ID + "`"
		require.Equal(t, c.Class == ByDefault, strings.Contains(everywhere, id), c.ID)
		require.Equal(t, c.Class == BySetting, strings.Contains(bySetting, id), c.ID)
		if c.Class != Never {
			require.NotContains(t, never, id)
		}
	}
}

func TestIgnored(t *testing.T) {
	t.Parallel()
	require.Subset(t, Ignored(39, nil), []string{"badTimezone", "missingEmail", "multipleAuthors", "badDate"})
	require.NotContains(t, Ignored(39, nil), "treeNotSorted")
	require.Contains(t, Ignored(39, []string{"treenotsorted"}), "treeNotSorted")
	require.NotContains(t, Ignored(39, []string{"hasDotgit", "badGpgsig"}), "hasDotgit")
	require.NotContains(t, Ignored(39, []string{"badGpgsig"}), "badGpgsig", "git 2.39 would die of the name")
	require.Contains(t, Ignored(55, []string{"badGpgsig"}), "badGpgsig")
}

func TestCheckTolerated(t *testing.T) {
	t.Parallel()
	got, err := CheckTolerated([]string{"TREENOTSORTED", "badDate", "treeNotSorted", "nulInCommit"})
	require.NoError(t, err)
	require.Equal(t, []string{"treeNotSorted", "nulInCommit"}, got)
	for id, want := range map[string]string{"hasDotgit": "never tolerated, because checking it out", "badRefName": "files of refs", "skipList": "no check", "": "no check"} {
		_, err := CheckTolerated([]string{id})
		require.Equal(t, core.KindInvalid, core.KindOf(err), id)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "treeNotSorted", "what may be named")
	}
}

func TestFindRefusal(t *testing.T) {
	t.Parallel()
	const id = "0123456789012345678901234567890123456789"
	r, ok := FindRefusal("remote: Total 3\nerror: object " + id + ": gitmodulesUrl: disallowed submodule url: -u\nfatal: fsck error in packed object\n")
	require.True(t, ok)
	require.Equal(t, Refusal{Object: id, ID: "gitmodulesUrl", Text: "disallowed submodule url: -u", Path: ".gitmodules"}, r)
	for _, text := range []string{"", "fatal: fsck error in packed object", "remote: error: object " + id + ": badDate: x", "error: object " + id + ": expected type tree, found blob"} {
		_, ok := FindRefusal(text)
		require.False(t, ok, text)
	}
	r.ID, r.Path, r.Repo = "duplicateEntries", "", "'team/old app'"
	require.Contains(t, r.Sentence(), "`headwater repo settings --tolerate duplicateEntries 'team/old app'`; `git rev-list --objects --all | grep 012345678901` names the folder")
	for check, want := range map[string]string{
		"treeNotSorted": "--tolerate treeNotSorted", "hasDotgit": "grep 012345678901", "gitmodulesUrl": "take it out of the history",
		"checkOfTomorrow": "no rule for that check",
	} {
		r, ok := FindRefusal("error: object " + id + ": " + check + ": words\n")
		require.True(t, ok)
		require.Contains(t, r.Sentence(), want)
		require.Contains(t, r.Sentence(), id)
		require.Contains(t, r.Sentence(), check)
		require.LessOrEqual(t, len(r.Sentence()), 500, "longer ones are cut where they are shown")
	}
}

// A folder is named as a person would look for it, within the length of a sentence.
func TestFolderPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"":            "the top folder",
		"src/old":     "the folder src/old",
		"caf\u00e9/x": "the folder caf\u00e9/x",
		"a\x1b[2J":    `the folder "a\x1b[2J"`,
		"a\xff":       `the folder "a\xff"`,
	} {
		require.Equal(t, want, FolderPath(path), "%q", path)
	}
	long := FolderPath(strings.Repeat("folder/", 100) + "here")
	require.LessOrEqual(t, len(long), 140)
	require.Regexp(t, `^the folder \.\.\..*/here$`, long)
	for id, want := range map[string]bool{"treeNotSorted": true, "hasDotgit": true, "nullSha1": true, "gitmodulesSymlink": true, "gitmodulesUrl": false, "nulInCommit": false, "missingTree": false, "unheardOf": false} {
		require.Equal(t, want, Refusal{ID: id}.OfFolder(), id)
	}
}
