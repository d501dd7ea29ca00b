package store

import (
	"context"
	"database/sql"
	"sync"
)

// prepared is a pool that prepares each query once per connection. SQLite
// takes longer to compile the query for a repository than to answer it, and
// every request asks for one. It is for pools of several connections: in the
// writer, preparing would wait for the transaction that is under way.
type prepared struct {
	*sql.DB
	statements sync.Map // of *sql.Stmt by query; queries are constants, so they are few
}

var _ runner = (*prepared)(nil)

// statement returns the prepared query, or nil if it cannot be prepared; then
// the unprepared query returns the reason.
func (p *prepared) statement(ctx context.Context, query string) *sql.Stmt {
	if known, ok := p.statements.Load(query); ok {
		return known.(*sql.Stmt)
	}
	fresh, err := p.PrepareContext(ctx, query)
	if err != nil {
		return nil
	}
	known, loaded := p.statements.LoadOrStore(query, fresh)
	if loaded {
		_ = fresh.Close() //nolint:sqlclosecheck // prepared at the same time by another request; the kept one stays open
	}
	return known.(*sql.Stmt)
}

// QueryContext implements runner.
func (p *prepared) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if statement := p.statement(ctx, query); statement != nil { //nolint:sqlclosecheck // closed with the pool
		return statement.QueryContext(ctx, args...)
	}
	return p.DB.QueryContext(ctx, query, args...)
}

// QueryRowContext implements runner.
func (p *prepared) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if statement := p.statement(ctx, query); statement != nil { //nolint:sqlclosecheck // closed with the pool
		return statement.QueryRowContext(ctx, args...)
	}
	return p.DB.QueryRowContext(ctx, query, args...)
}

// repeated runs writing statements of one transaction that come again and
// again: compiling one takes SQLite longer than running it.
type repeated struct {
	tx    runner
	known map[string]*sql.Stmt
}

func repeat(tx runner) *repeated { return &repeated{tx: tx, known: map[string]*sql.Stmt{}} }

// exec runs a statement.
func (r *repeated) exec(ctx context.Context, query string, args ...any) error {
	statement := r.known[query]
	if statement == nil {
		var err error
		if statement, err = r.tx.PrepareContext(ctx, query); err != nil {
			return err
		}
		r.known[query] = statement
	}
	_, err := statement.ExecContext(ctx, args...)
	return err
}

// close frees the statements; the end of the transaction would do so too.
func (r *repeated) close() {
	for _, statement := range r.known {
		_ = statement.Close()
	}
}
