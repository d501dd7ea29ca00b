package server_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/server/backup"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// TestLFS_backup restores LFS objects from a backup of a running server, and leaves out
// one whose bytes were damaged there, so that it can be pushed again.
func TestLFS_backup(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.Options{})
	s.Create(t, local)
	c := lfsClone(t, s.Client(t, local), "")
	c.Git("remote", "add", "origin", s.Remote(local))
	kept, spoiled := someBytes(51, 5000), someBytes(52, 6000)
	addLFS(t, c, "kept.bin", kept)
	addLFS(t, c, "spoiled.bin", spoiled)
	c.Git("push", "--quiet", "origin", "HEAD:refs/heads/main")
	to := t.TempDir()
	made, err := backup.Write(t.Context(), backup.Options{DataDir: s.Dir, To: to, Keep: 3, Version: "test", Now: time.Now})
	require.NoError(t, err)
	require.Equal(t, backup.ManifestLFS{Files: 2, Bytes: int64(len(kept) + len(spoiled))}, made.Manifest.LFS)
	s.Stop(t)

	oid := oidOf(spoiled)
	path := filepath.Join(made.Dir, "lfs", "objects", oid[:2], oid[2:4], oid)
	require.NoError(t, os.Remove(path)) // a link to the data directory's, perhaps
	require.NoError(t, os.WriteFile(path, append([]byte{'x'}, spoiled[1:]...), 0o600))
	dir := filepath.Join(t.TempDir(), "restored")
	g, err := git.New(t.Context(), git.Options{})
	require.NoError(t, err)
	done, err := backup.Restore(t.Context(), backup.RestoreOptions{From: to, DataDir: dir, Git: g, Now: time.Now})
	require.NoError(t, err)
	require.Equal(t, []string{oid}, done.DamagedLFS)
	keys, err := os.ReadDir(filepath.Join(s.Dir, "keys"))
	require.NoError(t, err)
	for _, k := range keys {
		content, err := os.ReadFile(filepath.Join(s.Dir, "keys", k.Name()))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "keys", k.Name()), content, 0o600))
	}

	again := servertest.Start(t, servertest.Options{Dir: dir})
	other := lfsClient(t, again.Client(t, local))
	other.Env = append(other.Env, "GIT_LFS_SKIP_SMUDGE=1")
	other.Clone(again.Remote(local))
	other.Git("lfs", "pull", "--include", "kept.bin")
	requireFile(t, other, "kept.bin", kept)
	out, err := other.Try("lfs", "pull", "--include", "spoiled.bin")
	require.Error(t, err)
	require.Contains(t, out, "git lfs push --all")
	// Whoever has it pushes it.
	c.Env = lfsClient(t, again.Client(t, local)).Env
	c.Git("lfs", "push", "--all", again.Remote(local))
	other.Git("lfs", "pull", "--include", "spoiled.bin")
	requireFile(t, other, "spoiled.bin", spoiled)
}
