package forgetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A listing from memory must be the one that git would give now.
func TestForge_listingsFollowTheRepository(t *testing.T) {
	t.Parallel()
	f := StartForge(t, ForgeOptions{HostKind: HostGitea})
	f.CreateRepo("acme/a", false)
	f.Seed("acme/a", SeedOptions{Commits: 3, Branches: 2, Tags: 1})
	dir, err := f.Forge.RepoDir("acme/a")
	require.NoError(t, err)
	git := func(args ...string) string {
		t.Helper()
		out, err := f.Forge.Git("acme/a", args...)
		require.NoError(t, err, out)
		return strings.TrimSpace(out)
	}
	main := git("rev-parse", "main")
	parent := git("rev-parse", "main~1")
	changes := []func(){
		func() {},
		func() { git("update-ref", "refs/heads/main", parent) },
		func() { git("update-ref", "refs/heads/new/one", main) },
		func() { git("pack-refs", "--all") },
		func() { git("update-ref", "-d", "refs/heads/new/one") },
		func() { git("symbolic-ref", "HEAD", "refs/heads/other") },
		func() { git("update-ref", "refs/heads/other", main) },
		func() { git("config", "uploadpack.hideRefs", "refs/tags") },
		func() { // an object goes, and its ref with it
			git("update-ref", "refs/heads/broken", git("commit-tree", "-m", "x", main+"^{tree}"))
			id := git("rev-parse", "refs/heads/broken")
			require.NoError(t, os.Remove(filepath.Join(dir, "objects", id[:2], id[2:])))
		},
	}
	for _, version := range []string{"0", "2"} {
		list := func(url string) string {
			t.Helper()
			out, err := f.Forge.Git("acme/a", "-c", "protocol.version="+version, "ls-remote", "--symref", url)
			require.NoError(t, err, out)
			return out
		}
		for i, change := range changes {
			change()
			for range 2 {
				require.Equal(t, list("file://"+dir), list(f.CloneURL("acme/a")), "change %d, protocol %s", i, version)
			}
		}
		git("config", "--unset", "uploadpack.hideRefs")
		git("update-ref", "--no-deref", "-d", "refs/heads/broken")
		git("symbolic-ref", "HEAD", "refs/heads/main")
		git("update-ref", "refs/heads/main", main)
	}
}
