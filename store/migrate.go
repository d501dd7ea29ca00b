package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/hashicorp/go-hclog"
	"github.com/pressly/goose/v3"

	"github.com/headwater-git/headwater/core"
)

// migrations has one folder per dialect.
//
//go:embed migrations
var migrations embed.FS

// versionTable is where goose notes the migrations that were applied.
const versionTable = "schema_versions"

// migrationSet is the migrations of one database.
type migrationSet struct {
	dialect goose.Dialect
	folder  string
}

var (
	sqliteMigrations   = migrationSet{goose.DialectSQLite3, "migrations/sqlite"}
	postgresMigrations = migrationSet{goose.DialectPostgres, "migrations/postgres"}
)

// migrate applies the migrations that db has not seen. It refuses a database
// that has seen more than this program knows with KindPrecondition.
func migrate(ctx context.Context, db *sql.DB, set migrationSet, logger hclog.Logger) error {
	provider, err := migrator(db, set)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if current > target {
		return core.Errorf(core.KindPrecondition,
			"the database has schema version %d but this program knows only up to %d; use the newer program that made it",
			current, target)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate from schema version %d: %w", current, err)
	}
	for _, r := range results {
		logger.Info("migration applied", "version", r.Source.Version, "duration_ms", r.Duration.Milliseconds())
	}
	return nil
}

// migrator returns what applies the migrations to db.
func migrator(db *sql.DB, set migrationSet) (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, set.folder)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(set.dialect, db, dir,
		goose.WithTableName(versionTable),
		// Only what is in dir counts, whatever another package registered.
		goose.WithDisableGlobalRegistry(true))
}
