package durable_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/durable"
)

func TestReplaceFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	for _, content := range []string{"one", "two, longer", ""} {
		require.NoError(t, durable.ReplaceFile(path, []byte(content), 0o640))
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, content, string(got))
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o640), info.Mode().Perm())
	requireNames(t, dir, "x")
}

// What cannot take its place leaves neither itself nor a temporary file.
func TestReplaceFile_failureLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "folder", "inner"), 0o700))
	require.Error(t, durable.ReplaceFile(filepath.Join(dir, "folder"), []byte("x"), 0o600), "a file takes no folder's name")
	require.ErrorIs(t, durable.ReplaceFile(filepath.Join(dir, "absent", "x"), []byte("x"), 0o600), fs.ErrNotExist)
	requireNames(t, dir, "folder")
}

func TestWriteTemp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, err := durable.WriteTemp(dir, ".key-", []byte("secret"))
	require.NoError(t, err)
	require.Contains(t, filepath.Base(path), ".key-")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
}

func TestSyncDir(t *testing.T) {
	t.Parallel()
	require.NoError(t, durable.SyncDir(t.TempDir()))
	require.ErrorIs(t, durable.SyncDir(filepath.Join(t.TempDir(), "absent")), fs.ErrNotExist)
}

func requireNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	require.Equal(t, want, names)
}

func TestMkdirAll(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	require.NoError(t, durable.MkdirAll(dir))
	require.NoError(t, durable.MkdirAll(dir), "again")
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	require.Error(t, durable.MkdirAll(filepath.Join(dir, "file", "below")))
}

func TestSyncFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "inner"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	require.NoError(t, durable.SyncFolders(dir))
	require.ErrorIs(t, durable.SyncFolders(filepath.Join(dir, "absent")), fs.ErrNotExist)
	require.ErrorIs(t, durable.SyncFile(filepath.Join(dir, "absent")), fs.ErrNotExist)
}
