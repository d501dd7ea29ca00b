package git

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/internal/gittest"
)

// refChange is a change for tests.
func refChange(name string, before, after core.ObjectID) RefChange {
	return RefChange{RefUpdate: core.RefUpdate{Name: name, Old: before, New: after}}
}

func TestGit_UpdateManyRefs(t *testing.T) {
	t.Parallel()
	g, dir := newTestGit(t), gittest.NewBare(t)
	a := core.ObjectID(gittest.AddCommit(t, dir, "refs/heads/packed", "one"))
	b := core.ObjectID(gittest.AddCommit(t, dir, "", "two", string(a)))
	gittest.Run(t, dir, "tag", "-a", "-m", "release", "v1", string(a))
	gittest.Run(t, dir, "update-ref", "refs/heads/gone", string(a))
	gittest.Run(t, dir, "pack-refs", "--all")
	for _, name := range []string{"packed", "loose", "deep/in/loose", "gone-too", "folder"} {
		gittest.Run(t, dir, "update-ref", "refs/heads/"+name, string(b))
	}
	tag := core.ObjectID(gittest.Run(t, dir, "rev-parse", "refs/tags/v1"))
	before, err := g.RefMap(t.Context(), dir)
	require.NoError(t, err)

	// What cannot be done as a whole changes nothing, and leaves no lock.
	missing := core.ObjectID("1111111111111111111111111111111111111111")
	locked := filepath.Join(dir, "refs/heads/loose.lock")
	require.NoError(t, os.WriteFile(locked, nil, 0o600))
	for kind, bad := range map[UpdateRefErrorKind]RefChange{
		RefStale: refChange("refs/heads/loose", a, b), RefConflict: refChange("refs/heads/folder/x", "", a),
		RefNoObject: refChange("refs/heads/x", "", missing), RefLocked: refChange("refs/heads/loose", b, a),
	} {
		err := g.UpdateManyRefs(t.Context(), dir, noStep, []RefChange{refChange("refs/heads/gone-too", b, "")}, []RefChange{refChange("refs/heads/new", "", a), bad})
		re, ok := errors.AsType[*RefError](err)
		require.True(t, ok, err)
		require.Equal(t, kind, re.Kind, err)
		have, err := g.RefMap(t.Context(), dir)
		require.NoError(t, err)
		require.Equal(t, before, have)
		require.NoFileExists(t, filepath.Join(dir, "packed-refs.lock"))
	}
	require.NoError(t, os.Remove(locked))

	require.NoError(t, g.UpdateManyRefs(t.Context(), dir, noStep,
		[]RefChange{refChange("refs/heads/gone", a, ""), refChange("refs/heads/gone-too", b, ""), refChange("refs/heads/folder", b, "")},
		[]RefChange{
			refChange("refs/heads/packed", b, a), refChange("refs/heads/loose", b, a), refChange("refs/heads/deep/in/loose", b, a),
			refChange("refs/heads/folder/x", "", a), refChange("refs/tags/v2", "", tag),
			{RefUpdate: core.RefUpdate{Name: core.TrackingPrefix + "heads/loose", New: a}, Force: true},
		}))
	have, err := g.RefMap(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, map[string]core.ObjectID{
		"refs/heads/packed": a, "refs/heads/loose": a, "refs/heads/deep/in/loose": a, "refs/heads/folder/x": a,
		"refs/tags/v1": tag, "refs/tags/v2": tag, core.TrackingPrefix + "heads/loose": a,
	}, have)
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, "refs"), func(path string, d fs.DirEntry, err error) error {
		require.True(t, d.IsDir(), path)
		return err
	}))
	// git finds its own file no different, and goes on from it.
	mine, err := os.ReadFile(filepath.Join(dir, "packed-refs"))
	require.NoError(t, err)
	gittest.Run(t, dir, "pack-refs", "--all")
	gits, err := os.ReadFile(filepath.Join(dir, "packed-refs"))
	require.NoError(t, err)
	require.Equal(t, string(gits), string(mine))
	gittest.Run(t, dir, "fsck", "--strict")

	// A symbolic ref is no ref that can be packed: git replaces it.
	gittest.Run(t, dir, "symbolic-ref", "refs/heads/sym", "refs/heads/loose")
	require.NoError(t, g.UpdateManyRefs(t.Context(), dir, noStep, []RefChange{{RefUpdate: core.RefUpdate{Name: "refs/heads/sym", New: b}, Force: true}}))
	require.Equal(t, string(b), gittest.Run(t, dir, "rev-parse", "refs/heads/sym"))
	require.Equal(t, string(a), gittest.Run(t, dir, "rev-parse", "refs/heads/loose"))
}

func noStep(string) {}
