package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Inspection is what can be said of a database file without opening it for writing.
type Inspection struct {
	Missing      bool   // there is no file, or it has no content
	Version      int64  // of the schema; 0: no schema
	Repositories int    // in it
	Sealed       int    // rows with a secret, sealed with the key of the data directory
	Damage       string // what SQLite found wrong, "" if nothing
}

// sealedTables are the tables that have sealed columns.
var sealedTables = []string{"credentials", "webhooks", "inbound_webhooks", "issuer_keys", "shared_credentials", "previous_credentials", "idempotent_calls"}

// Inspect reads a database file that may be in use. It migrates nothing and makes no
// file; with check, it has SQLite verify the whole file, which takes seconds a
// gigabyte. A file that cannot be read at all is in Damage.
func Inspect(ctx context.Context, path string, check bool) (found Inspection, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return Inspection{}, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return Inspection{Missing: true}, nil
	}
	if err != nil {
		return Inspection{}, op{name: "inspect database", subject: path}.fail(err)
	}
	db, err := sql.Open("sqlite", dsn(path, inspectParams(path)))
	if err != nil {
		return Inspection{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := found.read(ctx, db, check); err != nil {
		if ctx.Err() != nil {
			return Inspection{}, ctx.Err()
		}
		found.Damage = err.Error()
		if text := faultOf(err).advice; text != "" {
			found.Damage = text + ": " + found.Damage
		}
	}
	return found, nil
}

// inspectParams returns how to open a file only to read it. Without a write-ahead
// log nobody has it open, and it is read as it is; else SQLite would make one.
func inspectParams(path string) url.Values {
	params := url.Values{"mode": {"ro"}}
	if info, err := os.Stat(path + "-wal"); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 && !exists(path+"-shm") {
		params.Set("immutable", "1")
	}
	return params
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// read fills in what the database says.
func (found *Inspection) read(ctx context.Context, db *sql.DB, check bool) error {
	if ok, err := hasTable(ctx, db, versionTable); err != nil || !ok {
		return err
	}
	if err := db.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM `+versionTable+` WHERE is_applied`).Scan(&found.Version); err != nil {
		return err
	}
	count := func(table string, into *int) error {
		ok, err := hasTable(ctx, db, table)
		if err != nil || !ok {
			return err
		}
		n := 0
		err = db.QueryRowContext(ctx, `SELECT COUNT(*) FROM `+table).Scan(&n) // a name of this file, nobody's input
		*into += n
		return err
	}
	if err := count("repositories", &found.Repositories); err != nil {
		return err
	}
	for _, table := range sealedTables {
		if err := count(table, &found.Sealed); err != nil {
			return err
		}
	}
	if !check {
		return nil
	}
	rows, err := collect(ctx, db, func(row scanner) (text string, err error) {
		err = row.Scan(&text)
		return text, err
	}, `PRAGMA quick_check(10)`)
	if err != nil {
		return err
	}
	if text := strings.Join(rows, "; "); text != "ok" {
		found.Damage = text
	}
	return nil
}

func hasTable(ctx context.Context, db *sql.DB, name string) (bool, error) {
	n := 0
	err := db.QueryRowContext(ctx, `SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = $1`, name).Scan(&n)
	return n > 0, err
}
