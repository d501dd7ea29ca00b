package commit

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// TestService_treeBombs writes to a branch whose tree unfolds to a thousand
// million files: what git would have to unfold is refused before it starts, the
// rest is done.
func TestService_treeBombs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.Local("a")
	base := b.mustPut(r, "file", "1\n").Commit
	run := func(stdin string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=n", "-c", "user.email=e@example.test"}, args...)...)
		cmd.Dir, cmd.Stdin = b.Repos.Path(r.ID), strings.NewReader(stdin)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1"}
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, stderr.String())
		return strings.TrimSpace(string(out))
	}
	for branch, leaf := range map[string]string{"bomb": "x", "other": "y"} {
		id, kind := run(leaf, "hash-object", "-w", "--stdin"), "100644 blob"
		for range 12 {
			var lines strings.Builder
			for i := range 10 {
				fmt.Fprintf(&lines, "%s %s\t%d\n", kind, id, i)
			}
			id, kind = run(lines.String(), "mktree"), "040000 tree"
		}
		tree := run(run("", "ls-tree", string(base))+"\n040000 tree "+id+"\tbomb\n", "mktree")
		run("", "update-ref", "refs/heads/"+branch, run("", "commit-tree", "-p", string(base), "-m", "m", tree))
	}
	caller := Caller{Repo: r, Actor: core.Actor{Subject: "t"}}
	const text = "this unfolds to more than 1000000 files and folders; "
	patch := pieces{{Data: []byte("--- a/file\n+++ b/file\n@@ -1 +1 @@\n-1\n+2\n"), Last: true}}
	_, err := b.CommitDiff(b.Context(), Commit{Caller: caller, Signed: signed(), Branch: "bomb"}, &patch)
	require.Equal(t, core.KindTooLarge, core.KindOf(err), "%v", err)
	require.Equal(t, text+"send the files themselves instead of a diff", core.MessageOf(err))
	_, err = b.Merge(b.Context(), Merge{Caller: caller, Signed: signed(), Source: "bomb", Target: "other", Strategy: StrategyMerge})
	require.Equal(t, core.KindTooLarge, core.KindOf(err), "%v", err)
	require.Equal(t, text+"merge in smaller steps", core.MessageOf(err))

	made, err := b.put(r, Commit{Branch: "bomb"}, "file", "3\n")
	require.NoError(t, err)
	run("", "update-ref", "refs/heads/side", run("", "commit-tree", "-p", string(made.Commit)+"~1", "-m", "m", run(
		run("", "ls-tree", string(made.Commit)+"~1")+"\n100644 blob "+run("n", "hash-object", "-w", "--stdin")+"\tnew\n", "mktree")))
	merged, err := b.Merge(b.Context(), Merge{Caller: caller, Signed: signed(), Source: "side", Target: "bomb", Strategy: StrategyMerge})
	require.NoError(t, err, "what changed beside it")
	require.Equal(t, OutcomeMergeCommit, merged.Outcome)
}
