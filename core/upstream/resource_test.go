package upstream

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
)

// TestClassify_resource lets a git that works for an upstream run out of memory:
// that is no word about the host, and none about its objects.
func TestClassify_resource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := func(stdin string, args ...string) string {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Stdin, cmd.Dir = strings.NewReader(stdin), dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GIT_CONFIG_NOSYSTEM=1"}
		out, err := cmd.Output()
		require.NoError(t, err)
		return string(out)
	}
	run("", "init", "--quiet", "--bare", dir)
	blob := run(strings.Repeat("0123456789abcde\n", 3<<20), "hash-object", "-w", "--stdin")
	pack := run(blob, "pack-objects", "--stdout")
	g, err := git.New(t.Context(), git.Options{Memory: git.Memory{Remote: 40 << 20}})
	require.NoError(t, err)
	err = g.Run(t.Context(), git.Command{
		Name: "index-pack", Dir: dir, Flags: []string{"--stdin", "--strict"}, Stdin: strings.NewReader(pack),
		Remote: &git.Remote{URL: "https://host.example/a"},
	})
	class, text := Classify(fmt.Errorf("fetch from the upstream: %w", err))
	require.Equal(t, core.ClassResource, class, "%v", err)
	require.Contains(t, text, "--git-memory-remote")
	require.Equal(t, core.KindResource, core.KindOf(Failure("fetch", err)))
}
