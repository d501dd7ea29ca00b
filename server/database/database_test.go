package database_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/server/database"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/postgrestest"
	"github.com/headwater-git/headwater/store/seal"
)

// postgres is the server of this package's tests.
var postgres postgrestest.Server

func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }

func open(t *testing.T, dir string, dsn string) (*store.Store, error) {
	t.Helper()
	sealer, err := seal.LoadOrCreate(filepath.Join(t.TempDir(), "seal.key"))
	require.NoError(t, err)
	s, err := database.Place{DataDir: dir, DSN: providers.Secret(dsn)}.Open(t.Context(), store.Options{Sealer: sealer})
	if err == nil {
		require.NoError(t, s.Close())
	}
	return s, err
}

// TestPlace_staysWithItsDatabase opens data directories with another database than the
// one that they began with.
func TestPlace_staysWithItsDatabase(t *testing.T) {
	t.Parallel()
	one, other := postgres.Schema(t), postgres.Schema(t)
	dir := t.TempDir()
	require.False(t, database.Exists(dir))
	_, err := open(t, dir, one)
	require.NoError(t, err)
	require.True(t, database.Exists(dir))
	_, err = open(t, dir, one)
	require.NoError(t, err)

	refused := func(dir, dsn, want string) {
		t.Helper()
		_, err := open(t, dir, dsn)
		require.Equal(t, core.KindPrecondition, core.KindOf(err))
		require.ErrorContains(t, err, want)
	}
	refused(dir, other, "not the one")
	refused(dir, "", "HEADWATER_DATABASE")
	require.NoFileExists(t, filepath.Join(dir, database.File), "a refusal makes nothing")

	lite := t.TempDir()
	_, err = open(t, lite, "")
	require.NoError(t, err)
	refused(lite, one, "SQLite")

	require.ErrorContains(t, database.Refuse(dir, "a backup", "use pg_dump"), "a backup works on SQLite's alone: use pg_dump")
	require.NoError(t, database.Refuse(lite, "a backup", "use pg_dump"))
}
