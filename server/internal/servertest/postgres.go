package servertest

import (
	"os"
	"sync"
	"testing"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/server/database"
	"github.com/headwater-git/headwater/store/postgrestest"
)

// PostgresVariable makes every server of the tests keep its metadata in PostgreSQL, in a
// schema for each data directory.
const PostgresVariable = "HEADWATER_TEST_POSTGRES"

var (
	postgres postgrestest.Server
	// schemas are the connection strings of data directories: a server that is started
	// again on one finds what it left.
	schemas sync.Map
)

// OnPostgres reports whether servers keep their metadata in PostgreSQL.
func OnPostgres() bool { return os.Getenv(PostgresVariable) != "" }

// databaseOf returns the connection string of a data directory's schema, "" for SQLite:
// also of a directory that SQLite has been used in already.
func databaseOf(t testing.TB, dir string) providers.Secret {
	t.Helper()
	if !OnPostgres() {
		return ""
	}
	if known, ok := schemas.Load(dir); ok {
		return known.(providers.Secret)
	}
	if is, err := database.IsPostgres(dir); err == nil && !is && database.Exists(dir) {
		return ""
	}
	dsn := providers.Secret(postgres.Schema(t))
	schemas.Store(dir, dsn)
	return dsn
}
