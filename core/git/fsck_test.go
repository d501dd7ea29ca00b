package git_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/git/fsck"
	"github.com/headwater-git/headwater/core/internal/coretest"
)

// Git itself says of real objects what the classes promise: an object of each
// check, in a pack that git index-pack checks as it does those of a push.
func TestFsckStrict_realObjects(t *testing.T) {
	t.Parallel()
	g, err := git.New(t.Context(), git.Options{})
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "r.git")
	coretest.Run(t, "", "init", "--quiet", "--bare", dir)
	empty := filepath.Join(t.TempDir(), "empty.git")
	coretest.Run(t, "", "init", "--quiet", "--bare", empty)
	pack := func(c coretest.Broken) []byte {
		pack := exec.CommandContext(t.Context(), "git", "pack-objects", "--revs", "--stdout", "--quiet")
		pack.Dir, pack.Env, pack.Stdin = dir, coretest.Env(), strings.NewReader(string(c.Commit)+"\n")
		raw, err := pack.Output()
		require.NoError(t, err, c.Check)
		return raw
	}
	check := func(c coretest.Broken, raw []byte, tolerated ...string) (refusal fsck.Refusal, ok bool) {
		index := exec.CommandContext(t.Context(), "git", "index-pack", "--stdin", g.FsckStrict(tolerated))
		index.Dir, index.Env, index.Stdin = empty, coretest.Env(), strings.NewReader(string(raw))
		var stderr strings.Builder
		index.Stderr = &stderr
		if err := index.Run(); err == nil {
			return fsck.Refusal{}, true
		}
		refusal, named := fsck.FindRefusal(stderr.String())
		require.True(t, named, "%s: %s", c.Check, stderr.String())
		return refusal, false
	}
	every := fsck.Tolerable()
	made := 0
	for _, known := range fsck.Checks() {
		c, ok := coretest.BrokenCommit(t, dir, known.ID)
		if !ok {
			continue
		}
		made++
		raw := pack(c)
		refusal, passed := check(c, raw)
		require.Equal(t, known.Class == fsck.ByDefault, passed, "%s: %+v", known.ID, refusal)
		if passed {
			continue
		}
		require.Equal(t, known.ID, refusal.ID)
		_, passed = check(c, raw, append(every, known.ID)...)
		require.Equal(t, known.Class == fsck.BySetting, passed, known.ID)
	}
	require.Greater(t, made, 30)
}
