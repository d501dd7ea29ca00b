package server_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/server"
	"github.com/headwater-git/headwater/server/backup"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// A folder says whose it is, whatever was done to the repository, and the next start
// finds out what one does not say.
func TestServer_foldersDescribeThemselves(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 1})
	b.Create(t, local)
	r := b.Repo(t, local)
	dir := b.Engine().Services().Repos.Path(r.ID)
	described := func(want string) {
		t.Helper()
		d, err := repo.ReadDescription(dir)
		require.NoError(t, err)
		require.Equal(t, repo.DescriptionOf(b.Repo(t, local)), d)
		require.Equal(t, []string{r.ID, servertest.Org, local}, []string{d.ID, d.Organisation, d.Name})
		if want == "" {
			require.Nil(t, d.Upstream)
			return
		}
		require.Equal(t, want, d.Upstream.Owner+"/"+d.Upstream.Name)
	}
	described("")
	b.forge.CreateRepo("river/second", true)
	b.forge.CreateRepo("river/third", true)
	a := b.API(t, http.MethodPost, local, "/base", b.base("river/second"))
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	described("river/second")
	a = b.API(t, http.MethodPut, local, "/base", b.base("river/third"))
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	described("river/third")
	_, secret := b.forge.Credential()
	text, err := os.ReadFile(filepath.Join(dir, repo.DescriptionFile))
	require.NoError(t, err)
	require.NotContains(t, string(text), secret)
	a = b.API(t, http.MethodDelete, local, "/base", nil)
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	described("")

	require.NoError(t, os.Remove(filepath.Join(dir, repo.DescriptionFile)))
	b.Stop(t)
	b.Server = servertest.Start(t, servertest.Options{Dir: b.Dir, Forges: []*forgetest.TestForge{b.forge}})
	described("")
}

func TestNew_refusesWhatLooksLikeALoss(t *testing.T) {
	t.Parallel()
	b := newBench(t, forgetest.SeedOptions{Commits: 1})
	b.Stop(t)
	require.NoError(t, b.store.Close())
	o := servertest.ServerOptions(t, servertest.Options{Dir: b.Dir, Forges: []*forgetest.TestForge{b.forge}})
	database, key := filepath.Join(b.Dir, "headwater.db"), filepath.Join(b.Dir, "keys", "seal.json")
	away := func(path string) (back func()) {
		require.NoError(t, os.Rename(path, path+".away"))
		return func() { require.NoError(t, os.Rename(path+".away", path)) }
	}
	for _, tt := range []struct {
		name  string
		spoil func() (back func())
		says  []string
	}{
		{"no database", func() func() { return away(database) }, []string{"is missing or empty", "1 repository", "doctor --adopt"}},
		{"empty database", func() func() {
			back := away(database)
			write(t, database, "")
			return back
		}, []string{"is missing or empty"}},
		{"database of a first start", func() func() {
			back := away(database)
			empty := servertest.Start(t, servertest.Options{})
			empty.Stop(t)
			require.NoError(t, os.Rename(filepath.Join(empty.Dir, "headwater.db"), database))
			return back
		}, []string{"has no repository", "1 repository"}},
		{"no sealing key", func() func() { return away(key) }, []string{"seal.json is missing", "HEADWATER_SEAL_KEY"}},
		{"restore cut short", func() func() {
			path := filepath.Join(b.Dir, backup.RestoringFile)
			write(t, path, "")
			return func() { require.NoError(t, os.Remove(path)) }
		}, []string{"did not finish", "headwater restore"}},
	} {
		back := tt.spoil()
		srv, err := server.New(t.Context(), o)
		require.Nil(t, srv, tt.name)
		for _, text := range tt.says {
			require.ErrorContains(t, err, text, tt.name)
		}
		back()
	}
	require.NoFileExists(t, key+".away", "nothing was made in its place")
	servertest.Start(t, servertest.Options{Dir: b.Dir, Forges: []*forgetest.TestForge{b.forge}}).Get(t, mirror)
}

// A start clears tmp in the data directory, which must not be somebody's.
func TestNew_refusesAFolderThatIsSomebodysElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mine := filepath.Join(dir, "tmp", "thesis.txt")
	require.NoError(t, os.MkdirAll(filepath.Dir(mine), 0o700))
	require.NoError(t, os.WriteFile(mine, []byte("x"), 0o600))
	o := servertest.ServerOptions(t, servertest.Options{Dir: t.TempDir()})
	o.DataDir = dir
	_, err := server.New(t.Context(), o)
	require.ErrorContains(t, err, `has never been a data directory: "tmp" lies in it; choose a new or an empty folder`)
	require.FileExists(t, mine)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing was made in it")

	fresh := t.TempDir()
	for _, name := range []string{"lost+found", ".cache", "keys"} {
		require.NoError(t, os.Mkdir(filepath.Join(fresh, name), 0o700))
	}
	o.DataDir = fresh
	srv, err := server.New(t.Context(), o)
	require.NoError(t, err)
	require.NoError(t, srv.Shutdown(t.Context()))
}
