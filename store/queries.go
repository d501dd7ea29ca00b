package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/headwater-git/headwater/core"
)

// runner is a pool or a transaction.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// queries implements [core.Queries] once, for the store itself and for the
// inside of a transaction. The two differ only in where its statements run.
type queries struct {
	// read runs queries: on the reader pool or in the transaction.
	read runner
	// write runs a function of one statement: in a transaction of its own, or
	// in the one we are in.
	write func(ctx context.Context, f func(tx runner) error) error
	// writeAll is write for a function of several statements, of which all
	// count or none.
	writeAll func(ctx context.Context, f func(tx runner) error) error
	sealer   Sealer
	clock    core.Clock
}

var _ core.Queries = (*queries)(nil)

// exec runs one writing statement that must touch a row.
func (q *queries) exec(ctx context.Context, o op, query string, args ...any) error {
	return o.fail(q.write(ctx, func(tx runner) error { return touch(ctx, tx, query, args...) }))
}

// touch runs one writing statement; it returns [sql.ErrNoRows] if that touched none.
func touch(ctx context.Context, tx runner, query string, args ...any) error {
	result, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		return sql.ErrNoRows
	}
	return err
}

// scanner is a row to be read.
type scanner interface{ Scan(dest ...any) error }

// collect runs a query and reads every row of the answer.
func collect[T any](ctx context.Context, r runner, scan func(scanner) (T, error), query string, args ...any) (all []T, err error) {
	rows, err := r.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// scanString reads a row of one string.
func scanString(row scanner) (s string, err error) {
	err = row.Scan(&s)
	return s, err
}

// checkLimit refuses a limit that is not positive: LIMIT -1 means no limit in
// SQLite and is an error in PostgreSQL.
func checkLimit(o op, limit int) error {
	if limit > 0 {
		return nil
	}
	return &core.Error{Kind: core.KindInvalid, Op: o.name, Subject: o.subject, Message: fmt.Sprintf("the limit %d is not positive", limit)}
}

// orLast returns the cursor before or, if it is empty, one above every id.
// With a plain "id < cursor" a deep page costs what the first one costs; with
// "cursor = ” OR id < cursor" it would walk over all pages above.
func orLast(before string) string {
	if before == "" {
		return "~" // ids are lower-case letters, digits and underscores
	}
	return before
}

// micros returns t as it is stored: microseconds since 1970, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// timeOf reverses micros.
func timeOf(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// timeColumn scans a stored time into t.
type timeColumn struct{ t *time.Time }

// Scan implements [sql.Scanner].
func (c timeColumn) Scan(src any) error {
	us, ok := src.(int64)
	if !ok {
		return fmt.Errorf("a stored time is %T, not an integer", src)
	}
	*c.t = timeOf(us)
	return nil
}

// bit returns b as it is stored.
func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
