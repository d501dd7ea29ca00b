package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/jackc/pgx/v5"

	"github.com/headwater-git/headwater/core"
)

// This file and the others named postgres hold all that is PostgreSQL's own.

// postgresMinimum is the oldest version that is supported, as server_version_num has it.
const postgresMinimum = 140000

// connectTimeout bounds one attempt to connect where the connection string says nothing.
const connectTimeout = 10 * time.Second

// OpenPostgres opens a database of PostgreSQL 14 or later and brings its schema up to
// date. dsn is a connection string or URL as libpq takes them (PostgreSQL manual,
// section 34.1.1), with what the environment says in PGHOST and the like; it holds a
// secret and is in no error. Tables are made in the first schema of its search_path;
// several stores can share a database if each has a schema.
//
// Writing transactions run one after the other over all processes, as SQLite has them,
// which an advisory lock of the schema holds up: what is read in one is true until its
// end, and the ids of events are in the order of their commits.
//
// It returns KindInvalid without a sealer or for what is no connection string,
// KindPrecondition for a database that is too old, in another encoding than UTF-8 or of
// a newer version of the program, and KindInternal for what the database says.
func OpenPostgres(ctx context.Context, dsn string, opts Options) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	config, err := parsePostgres(dsn)
	if err != nil {
		return nil, err
	}
	action := op{name: "open database", subject: describePostgres(config)}
	writer := sql.OpenDB(postgresConnector{config: config})
	// One, as for SQLite: a second would only wait for the first.
	writer.SetMaxOpenConns(1)
	if err := checkPostgres(ctx, writer); err != nil {
		return nil, action.fail(errors.Join(err, writer.Close()))
	}
	if err := migratePostgres(ctx, writer, opts.Logger); err != nil {
		return nil, action.fail(errors.Join(err, writer.Close()))
	}
	reading := config.Copy()
	reading.RuntimeParams["default_transaction_read_only"] = "on"
	reader := sql.OpenDB(postgresConnector{config: reading})
	reader.SetMaxOpenConns(maxReaders)
	reader.SetMaxIdleConns(maxReaders)

	// pgx keeps the statements of a connection prepared, so no pool of them is needed.
	return newStore(postgresDialect{}, writer, reader, reader, opts), nil
}

// parsePostgres reads a connection string. Its errors do not quote it: it may hold a
// password.
func parsePostgres(dsn string) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		// pgx cuts passwords out of what it quotes, as far as it understands the text.
		return nil, &core.Error{Kind: core.KindInvalid, Op: "open database", Message: "the connection string of PostgreSQL cannot be read; it is postgres://USER@HOST:PORT/DATABASE or host=HOST user=USER dbname=DATABASE"}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "headwater"
	}
	// What a commit promises does not depend on how the database was set up.
	config.RuntimeParams["synchronous_commit"] = "on"
	// A server that is stopped in the midst of a transaction must not hold up the others.
	config.RuntimeParams["idle_in_transaction_session_timeout"] = "60000"
	return config, nil
}

// describePostgres names a database without anything secret.
func describePostgres(c *pgx.ConnConfig) string {
	return fmt.Sprintf("PostgreSQL database %q on %s", c.Database, c.Host)
}

// checkPostgres refuses a database that cannot hold the store.
func checkPostgres(ctx context.Context, db *sql.DB) error {
	var version int
	var encoding, schema sql.NullString
	err := db.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_encoding'), current_schema()`).Scan(&version, &encoding, &schema)
	switch {
	case err != nil:
		return err
	case version < postgresMinimum:
		return core.Errorf(core.KindPrecondition, "the database is PostgreSQL %d, older than the oldest supported version %d", version/10000, postgresMinimum/10000)
	case encoding.String != "UTF8":
		return core.Errorf(core.KindPrecondition, "the database has the encoding %s; make one with encoding UTF8", encoding.String)
	case schema.String == "":
		return core.Errorf(core.KindPrecondition, "no schema of the database's search_path exists; create one, such as public")
	}
	return nil
}

// migratePostgres applies the migrations that the database has not seen.
func migratePostgres(ctx context.Context, db *sql.DB, logger hclog.Logger) (err error) {
	// Processes that start together must not migrate at the same time. A session's lock
	// on the one connection that goose uses, too.
	const lock = `(1751474802, -hashtext(current_schema()))`
	if _, err := db.ExecContext(ctx, `SELECT pg_advisory_lock`+lock); err != nil {
		return err
	}
	defer func() {
		_, unlockErr := db.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock`+lock)
		err = errors.Join(err, unlockErr)
	}()
	return migrate(ctx, db, postgresMigrations, logger)
}
