package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
)

// runner is a pool or a transaction.
type runner interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
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
	// eventsAdded is called once events are added: for the store itself after
	// their commit, inside a transaction before it.
	eventsAdded func()
	sealer      Sealer
	clock       core.Clock
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

// deleteSome runs a statement that deletes at most a number of rows, its last
// parameter, and returns how many it did.
func (q *queries) deleteSome(ctx context.Context, o op, limit int, query string, args ...any) (n int, err error) {
	if err := checkLimit(o, limit); err != nil {
		return 0, err
	}
	err = q.write(ctx, func(tx runner) error {
		result, err := tx.ExecContext(ctx, query, append(args, limit)...)
		if err != nil {
			return err
		}
		affected, err := result.RowsAffected()
		n = int(affected)
		return err
	})
	return n, o.fail(err)
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

// encode returns v as it is stored in a column of JSON. An empty slice and none
// are stored alike, as "null".
func encode[T any](v []T) (string, error) {
	if len(v) == 0 {
		v = nil
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode %T: %w", v, err)
	}
	return string(text), nil
}

// jsonColumn scans stored JSON into what dest points to.
type jsonColumn struct{ dest any }

// Scan implements [sql.Scanner].
func (c jsonColumn) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("stored JSON is %T, not text", src)
	}
	return json.Unmarshal([]byte(text), c.dest)
}

// list returns words as a text that LIKE finds each of them in; see listed.
func list[T ~string](words []T) string {
	var b strings.Builder
	for _, w := range words {
		b.WriteString("," + string(w))
	}
	return b.String() + ","
}

// listed is the condition that a column is in a list. Such a query is the same
// for lists of any length, so it is prepared once. The words must be of
// lower-case letters, digits and underscores; that LIKE takes an underscore for
// any character makes no two ids or states alike.
func listed(param, column string) string { return param + ` LIKE '%,' || ` + column + ` || ',%'` }

// bit returns b as it is stored.
func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
