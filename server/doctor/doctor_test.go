package doctor_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/server/database"
	"github.com/headwater-git/headwater/server/doctor"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/postgrestest"
	"github.com/headwater-git/headwater/store/seal"
)

// postgres is the server of this package's tests.
var postgres postgrestest.Server

func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }

// A data directory whose database is a PostgreSQL is looked at as one of SQLite: each of
// its repositories, and what the database cannot be asked is a problem, not an all-clear.
func TestLook_postgres(t *testing.T) {
	t.Parallel()
	dir, dsn, now := t.TempDir(), providers.Secret(postgres.Schema(t)), time.Now().UTC()
	g, err := git.New(t.Context(), git.Options{})
	require.NoError(t, err)
	sealer, err := seal.LoadOrCreate(filepath.Join(t.TempDir(), "seal.json"))
	require.NoError(t, err)
	s, err := database.Place{DataDir: dir, DSN: dsn}.Open(t.Context(), store.Options{Sealer: sealer})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	r := core.Repository{ID: core.NewID("repo", now), Org: "local", Name: "team/one", DefaultBranch: "main", ObjectFormat: "sha1", CreatedAt: now}
	require.NoError(t, s.Tx(t.Context(), func(q core.Queries) error {
		if err := q.CreateOrg(t.Context(), core.Org{Name: "local", CreatedAt: now}); err != nil && core.KindOf(err) != core.KindConflict {
			return err
		}
		return q.CreateRepository(t.Context(), r)
	}))
	look := func(dsn providers.Secret) doctor.Report {
		t.Helper()
		found, err := doctor.Look(t.Context(), doctor.Options{DataDir: dir, Git: g, Database: dsn})
		require.NoError(t, err)
		return found
	}

	found := look(dsn)
	require.Equal(t, 1, found.Repositories)
	require.Equal(t, 1, found.Problems(), "%v", found.Findings)
	require.Contains(t, found.Findings[0].Subject, "team/one")
	require.Contains(t, found.Findings[0].What, "is missing")
	folder := repo.PathIn(dir, r.ID)
	require.NoError(t, os.MkdirAll(filepath.Dir(folder), 0o700))
	require.NoError(t, g.Init(t.Context(), folder, "main", "sha1"))
	require.NoError(t, repo.WriteDescription(folder, r))
	require.Zero(t, look(dsn).Problems(), "%v", look(dsn).Findings)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "refs", "heads", "main"), []byte("0123456789012345678901234567890123456789\n"), 0o600))
	require.Equal(t, 1, look(dsn).Problems())

	for text, want := range map[providers.Secret]string{
		"": "connection string is not given",
		"host=127.0.0.1 port=1 user=u password=planted-word dbname=x connect_timeout=2": "PostgreSQL cannot be connected to",
		providers.Secret(postgres.Schema(t)):                                            "schema version 0",
	} {
		found := look(text)
		require.Equal(t, 1, found.Problems(), want)
		require.Contains(t, found.Findings[0].What, want)
		require.Contains(t, found.Findings[0].Next, database.Variable)
		require.NotContains(t, found.Findings[0].What, "planted-word")
	}
}
