package store_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/seal"
	"github.com/headwater-git/headwater/store/storetest"
)

// openPostgres opens the store at dsn, with the key file in dir.
func openPostgres(t testing.TB, dsn, dir string) *store.Store {
	t.Helper()
	sealer, err := seal.LoadOrCreate(filepath.Join(dir, "seal.key"))
	require.NoError(t, err)
	s, err := store.OpenPostgres(t.Context(), dsn, store.Options{Sealer: sealer})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestPostgres_conformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Database {
		dsn, dir := postgres.Schema(t), t.TempDir()
		return func(t *testing.T) core.Store { return openPostgres(t, dsn, dir) }
	})
}
