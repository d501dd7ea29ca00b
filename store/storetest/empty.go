package storetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/store"
	"github.com/headwater-git/headwater/store/seal"
)

// Empty puts an empty database of the newest schema into a data directory that
// has none. Opening it takes no migrations, which cost a second of processor time
// each under the race detector, where hundreds of tests want a database of their
// own. A database that is there stays.
func Empty(t testing.TB, dir string) {
	t.Helper()
	file := filepath.Join(dir, "headwater.db")
	if _, err := os.Stat(file); err == nil {
		return
	}
	content, err := empty()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, content, 0o600))
}

// empty is the content of such a database, made once in a process.
var empty = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "storetest")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	sealer, err := seal.LoadOrCreate(filepath.Join(dir, "seal.json"))
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "headwater.db")
	s, err := store.Open(context.Background(), file, store.Options{Sealer: sealer})
	if err != nil {
		return nil, err
	}
	// The last one to close it leaves no write-ahead log behind.
	if err := s.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})
