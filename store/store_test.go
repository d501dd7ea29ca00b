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
	storetest.Run(t, fresh)
}

// TestStore_sideBySide is the part of the conformance that runs under the race detector.
func TestStore_sideBySide(t *testing.T) {
	t.Parallel()
	storetest.SideBySide(t, fresh)
}

// fresh is an empty database in a folder of its own.
func fresh(t *testing.T) storetest.Database {
	t.Helper()
	dir := t.TempDir()
	storetest.Empty(t, dir)
	return func(t *testing.T) core.Store {
		t.Helper()
		return openAt(t, dir)
	}
}
