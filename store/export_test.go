package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/headwater-git/headwater/core"
)

// LockFile is lockFile.
var LockFile = lockFile

// WriterPragma returns a setting that the writer's connections have.
func WriterPragma(ctx context.Context, path, name string) (value string, err error) {
	db, err := openWriter(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	err = db.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value)
	return value, err
}

// SealedColumns returns the columns of sealed secrets that reseal knows.
func SealedColumns() (names []string) {
	for _, c := range sealedColumns() {
		names = append(names, c.table+"."+c.column)
	}
	return names
}

// MigrateTo makes a database of an older version of the schema.
func MigrateTo(ctx context.Context, path string, version int64) (err error) {
	if err := createFile(path); err != nil {
		return err
	}
	db, err := openWriter(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	provider, err := migrator(db, sqliteMigrations)
	if err != nil {
		return err
	}
	_, err = provider.UpTo(ctx, version)
	return err
}

// Fill lets the database grow no more, as on a full disk: see max_page_count in
// https://www.sqlite.org/pragma.html, which SQLite raises to its present size.
func (s *Store) Fill(ctx context.Context) error {
	return s.write(ctx, func(tx runner) error {
		_, err := tx.ExecContext(ctx, "PRAGMA max_page_count = 1")
		return err
	})
}

// Plans runs f in a transaction and returns the steps of the query plan of
// every statement that it ran.
func (s *Store) Plans(ctx context.Context, f func(q core.Queries) error) (steps []string, err error) {
	err = s.write(ctx, func(tx runner) error {
		e := &explainer{runner: tx, steps: &steps}
		return f(&queries{
			read:        e,
			write:       func(_ context.Context, f func(runner) error) error { return f(e) },
			writeAll:    func(_ context.Context, f func(runner) error) error { return f(e) },
			eventsAdded: func() {},
			sealer:      s.sealer,
			clock:       s.clock,
		})
	})
	return steps, err
}

// explainer is a runner that notes the plan of what it runs.
type explainer struct {
	runner
	steps *[]string
}

func (e *explainer) explain(ctx context.Context, query string, args []any) {
	steps, err := collect(ctx, e.runner, func(row scanner) (string, error) {
		var detail string
		var ignored int
		err := row.Scan(&ignored, &ignored, &ignored, &detail)
		return detail, err
	}, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		steps = []string{"SCAN, for all that is known: " + err.Error()}
	}
	for _, step := range steps {
		*e.steps = append(*e.steps, step+"  -- "+strings.Join(strings.Fields(query), " "))
	}
}

// PrepareContext implements runner.
func (e *explainer) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	e.explain(ctx, query, make([]any, strings.Count(query, "$")))
	return e.runner.PrepareContext(ctx, query)
}

// ExecContext implements runner.
func (e *explainer) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	e.explain(ctx, query, args)
	return e.runner.ExecContext(ctx, query, args...)
}

// QueryContext implements runner.
func (e *explainer) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	e.explain(ctx, query, args)
	return e.runner.QueryContext(ctx, query, args...)
}

// QueryRowContext implements runner.
func (e *explainer) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	e.explain(ctx, query, args)
	return e.runner.QueryRowContext(ctx, query, args...)
}
