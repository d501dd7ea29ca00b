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

// openAt opens the database in dir, with the key file beside it, and closes it
// when the test ends.
func openAt(t testing.TB, dir string) *store.Store {
	t.Helper()
	sealer, err := seal.LoadOrCreate(filepath.Join(dir, "seal.key"))
	require.NoError(t, err)
	s, err := store.Open(t.Context(), filepath.Join(dir, "headwater.db"), store.Options{Sealer: sealer})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestStore_conformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Database {
		dir := t.TempDir()
		storetest.Empty(t, dir)
		return func(t *testing.T) core.Store { return openAt(t, dir) }
	})
}
