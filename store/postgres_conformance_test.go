//go:build !race

package store_test

import (
	"testing"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/store/storetest"
)

// TestPostgres_conformance is left out under the race detector, which goes through the
// same statements for SQLite: each of its tests makes a schema.
func TestPostgres_conformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) storetest.Database {
		dsn, dir := postgres.Schema(t), t.TempDir()
		return func(t *testing.T) core.Store { return openPostgres(t, dsn, dir) }
	})
}
