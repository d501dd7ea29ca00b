package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// PostgresContent is what [InspectPostgres] found.
type PostgresContent struct {
	Name         string // [Store.Name]
	Repositories []SnapshotRepository
	Sealed       int  // rows with a secret, sealed with the key of the data directory
	Held         bool // deliveries wait for an operator's word
}

// InspectPostgres reads a database of PostgreSQL that may be in use, as of one moment. It
// changes nothing, not even the schema. Errors: KindInvalid for what is no connection
// string; KindPrecondition for a schema that is older than what this program reads, newer,
// or not there; else what [OpenPostgres] says of a database that cannot be asked.
func InspectPostgres(ctx context.Context, dsn string) (found PostgresContent, err error) {
	config, err := parsePostgres(dsn)
	if err != nil {
		return PostgresContent{}, err
	}
	config.RuntimeParams["default_transaction_read_only"] = "on"
	db := sql.OpenDB(postgresConnector{config: config})
	db.SetMaxOpenConns(1)
	defer func() {
		err = op{name: "inspect database", subject: describePostgres(config)}.fail(errors.Join(err, db.Close()))
	}()
	if err := checkPostgres(ctx, db); err != nil {
		return PostgresContent{}, err
	}
	if err := checkPostgresSchema(ctx, db); err != nil {
		return PostgresContent{}, err
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return PostgresContent{}, err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	var counts []string
	for _, table := range sealedTables {
		counts = append(counts, `(SELECT COUNT(*) FROM `+table+`)`) // names of inspect.go, nobody's input
	}
	err = tx.QueryRowContext(ctx, `SELECT name, EXISTS (`+heldByRestore+`), `+strings.Join(counts, " + ")+` FROM installation WHERE id = 1`).
		Scan(&found.Name, &found.Held, &found.Sealed)
	if err != nil {
		return PostgresContent{}, err
	}
	found.Repositories, err = listForSnapshot(ctx, tx)
	return found, err
}

// checkPostgresSchema refuses a schema of another version of the program.
func checkPostgresSchema(ctx context.Context, db *sql.DB) error {
	var there bool
	if err := db.QueryRowContext(ctx, `SELECT to_regclass('`+versionTable+`') IS NOT NULL`).Scan(&there); err != nil {
		return err
	}
	var have int64
	if there {
		if err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM `+versionTable+` WHERE is_applied`).Scan(&have); err != nil {
			return err
		}
	}
	provider, err := migrator(db, postgresMigrations)
	if err != nil {
		return err
	}
	sources := provider.ListSources()
	if want := sources[len(sources)-1].Version; have != want {
		return core.Errorf(core.KindPrecondition, "the database has schema version %d, and this program reads version %d", have, want)
	}
	return nil
}
