package git

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git/internal/gittest"
)

func newTestGit(t *testing.T) *Git {
	t.Helper()
	g, err := New(t.Context(), Options{})
	require.NoError(t, err)
	return g
}

func TestGit_WriteRefs_likeGit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		packed bool // refs are packed before
		also   bool // a change names an object that no ref points to
	}{{name: "loose refs"}, {name: "packed refs", packed: true}, {name: "an object without ref", also: true}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			g, dir := newTestGit(t), gittest.NewBare(t)
			a := core.ObjectID(gittest.AddCommit(t, dir, "refs/internal/upstream/heads/a/b", "one"))
			b := core.ObjectID(gittest.AddCommit(t, dir, "refs/heads/old", "two", string(a)))
			c := core.ObjectID(gittest.AddCommit(t, dir, "", "three", string(b)))
			gittest.Run(t, dir, "tag", "-a", "-m", "release", "v1", string(a))
			gittest.Run(t, dir, "update-ref", "refs/namespaces/ephemeral/refs/heads/x", string(b))
			gittest.Run(t, dir, "symbolic-ref", "refs/heads/sym", "refs/heads/a/b")
			if tc.packed {
				gittest.Run(t, dir, "pack-refs", "--all")
			}
			tag := core.ObjectID(gittest.Run(t, dir, "rev-parse", "refs/tags/v1"))
			deletes := []RefChange{{RefUpdate: core.RefUpdate{Name: "refs/heads/old", Old: b}}}
			rest := []RefChange{
				{RefUpdate: core.RefUpdate{Name: "refs/heads/a/b", New: a}},
				{RefUpdate: core.RefUpdate{Name: "refs/heads/old/new", New: b}},
				{RefUpdate: core.RefUpdate{Name: "refs/tags/v2", New: tag}},
				{RefUpdate: core.RefUpdate{Name: "refs/internal/upstream/heads/a/b", New: b}, Force: true},
			}
			if tc.also {
				rest = append(rest, RefChange{RefUpdate: core.RefUpdate{Name: "refs/heads/c", New: c}})
				gittest.Run(t, dir, "tag", "-a", "-m", "loose", "v3", string(c))
				loose := core.ObjectID(gittest.Run(t, dir, "rev-parse", "refs/tags/v3"))
				gittest.Run(t, dir, "update-ref", "-d", "refs/tags/v3")
				rest = append(rest, RefChange{RefUpdate: core.RefUpdate{Name: "refs/tags/v4", New: loose}})
			}
			require.NoError(t, g.WriteRefs(t.Context(), dir, deletes, rest))

			have, err := g.RefMap(t.Context(), dir)
			require.NoError(t, err)
			want := map[string]core.ObjectID{
				"refs/heads/a/b": a, "refs/heads/sym": a, "refs/heads/old/new": b, "refs/tags/v1": tag, "refs/tags/v2": tag,
				"refs/internal/upstream/heads/a/b": b, "refs/namespaces/ephemeral/refs/heads/x": b,
			}
			if tc.also {
				want["refs/heads/c"] = c
				want["refs/tags/v4"] = rest[len(rest)-1].New
			}
			require.Equal(t, want, have)
			require.Equal(t, string(a), gittest.Run(t, dir, "rev-parse", "refs/tags/v2^{}"))
			// git finds its own file no different.
			mine, err := os.ReadFile(filepath.Join(dir, "packed-refs"))
			require.NoError(t, err)
			gittest.Run(t, dir, "pack-refs", "--all")
			gits, err := os.ReadFile(filepath.Join(dir, "packed-refs"))
			require.NoError(t, err)
			require.Equal(t, string(gits), string(mine))
			gittest.Run(t, dir, "fsck", "--strict")
			require.DirExists(t, filepath.Join(dir, "refs", "heads"))
			require.NoDirExists(t, filepath.Join(dir, "refs", "internal"))
		})
	}
}

func TestGit_WriteRefs_refusals(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(a core.ObjectID) RefChange
		kind   UpdateRefErrorKind
	}{
		{"stale", func(a core.ObjectID) RefChange {
			return RefChange{RefUpdate: core.RefUpdate{Name: "refs/heads/main", New: a}}
		}, RefStale},
		{"folder", func(a core.ObjectID) RefChange {
			return RefChange{RefUpdate: core.RefUpdate{Name: "refs/heads/main/x", New: a}}
		}, RefConflict},
		{"bad name", func(a core.ObjectID) RefChange {
			return RefChange{RefUpdate: core.RefUpdate{Name: "refs/heads/..", New: a}}
		}, RefBadName},
		{"missing object", func(core.ObjectID) RefChange {
			return RefChange{RefUpdate: core.RefUpdate{Name: "refs/heads/new", New: "1111111111111111111111111111111111111111"}}
		}, RefNoObject},
		{"branch on a tag", func(a core.ObjectID) RefChange {
			return RefChange{RefUpdate: core.RefUpdate{Name: "refs/heads/new", New: a}}
		}, RefNoObject},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			g, dir := newTestGit(t), gittest.NewBare(t)
			a := core.ObjectID(gittest.AddCommit(t, dir, "refs/heads/main", "one"))
			id := a
			if tc.name == "branch on a tag" {
				id = core.ObjectID(strings.TrimSpace(gittest.Try(t, dir, fmt.Sprintf("object %s\ntype commit\ntag v1\ntagger A <a@example.com> 1700000000 +0000\n\nx\n", a), "mktag").Stdout))
			}
			err := g.WriteRefs(t.Context(), dir, []RefChange{tc.change(id)})
			var re *RefError
			require.ErrorAs(t, err, &re)
			require.Equal(t, tc.kind, re.Kind)
			have, err := g.RefMap(t.Context(), dir)
			require.NoError(t, err)
			require.Equal(t, map[string]core.ObjectID{"refs/heads/main": a}, have)
		})
	}
}

func TestGit_WriteRefs_refusesAnotherRefFormat(t *testing.T) {
	t.Parallel()
	g, dir := newTestGit(t), gittest.NewBare(t)
	id := core.ObjectID(gittest.AddCommit(t, dir, "", "one"))
	// What a repository of reftables says of itself; git that does not know the
	// extension refuses it by itself.
	gittest.Run(t, dir, "config", "core.repositoryFormatVersion", "1")
	gittest.Run(t, dir, "config", "extensions.refStorage", "reftable")
	err := g.WriteRefs(t.Context(), dir, []RefChange{{RefUpdate: core.RefUpdate{Name: "refs/heads/main", New: id}}})
	require.Error(t, err)
	require.Regexp(t, `reftable|refstorage`, err.Error())
	require.NoFileExists(t, filepath.Join(dir, "packed-refs"))
}

func TestGit_Init_refsAreFilesWhateverGitsDefault(t *testing.T) {
	t.Parallel()
	real, err := exec.LookPath("git")
	require.NoError(t, err)
	// Stands for a build of git whose own default is reftable, as 3.0's is.
	path := filepath.Join(t.TempDir(), "git")
	script := fmt.Sprintf("#!/bin/sh\nGIT_DEFAULT_REF_FORMAT=reftable exec '%s' \"$@\"\n", real)
	require.NoError(t, os.WriteFile(path, []byte(script), 0o700)) //nolint:gosec // run by the test
	g, err := New(t.Context(), Options{Path: path})
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "r.git")
	require.NoError(t, g.Init(t.Context(), dir, "main", "sha1"))
	id := core.ObjectID(gittest.AddCommit(t, dir, "", "one"))
	require.NoError(t, g.WriteRefs(t.Context(), dir, []RefChange{{RefUpdate: core.RefUpdate{Name: "refs/heads/main", New: id}}}))
	refs, err := g.RefMap(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, map[string]core.ObjectID{"refs/heads/main": id}, refs)
	require.NoDirExists(t, filepath.Join(dir, "reftable"))
}
