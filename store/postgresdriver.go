package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgresConnector opens connections whose texts may hold any bytes. PostgreSQL refuses
// texts with a NUL or with what is not UTF-8, but names of refs and what hosts print are
// any bytes; see [armour].
type postgresConnector struct{ config *pgx.ConnConfig }

// Connect implements [driver.Connector].
func (c postgresConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := stdlib.GetConnector(*c.config.Copy()).Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := conn.(*stdlib.Conn)
	if !ok {
		return nil, errors.Join(errors.New("pgx gave a connection of another kind"), conn.Close())
	}
	return &postgresConn{inner}, nil
}

// Driver implements [driver.Connector].
func (c postgresConnector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

type postgresConn struct{ *stdlib.Conn }

var (
	_ driver.QueryerContext     = (*postgresConn)(nil)
	_ driver.ExecerContext      = (*postgresConn)(nil)
	_ driver.ConnPrepareContext = (*postgresConn)(nil)
	_ driver.ConnBeginTx        = (*postgresConn)(nil)
	_ driver.NamedValueChecker  = (*postgresConn)(nil)
	_ driver.SessionResetter    = (*postgresConn)(nil)
)

// CheckNamedValue implements [driver.NamedValueChecker].
func (c *postgresConn) CheckNamedValue(v *driver.NamedValue) error {
	plain, err := driver.DefaultParameterConverter.ConvertValue(v.Value)
	if err != nil {
		return err
	}
	if text, ok := plain.(string); ok {
		plain = armour(text)
	}
	v.Value = plain
	return nil
}

// QueryContext implements [driver.QueryerContext].
func (c *postgresConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.Conn.QueryContext(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return postgresRows{rows}, nil
}

// PrepareContext implements [driver.ConnPrepareContext].
func (c *postgresConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	statement, err := c.Conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	inner, ok := statement.(*stdlib.Stmt)
	if !ok {
		return nil, errors.Join(errors.New("pgx gave a statement of another kind"), statement.Close())
	}
	return &postgresStmt{inner}, nil
}

type postgresStmt struct{ *stdlib.Stmt }

// QueryContext implements [driver.StmtQueryContext].
func (s *postgresStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := s.Stmt.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	return postgresRows{rows}, nil
}

type postgresRows struct{ driver.Rows }

// Next implements [driver.Rows].
func (r postgresRows) Next(row []driver.Value) error {
	if err := r.Rows.Next(row); err != nil {
		if errors.Is(err, io.EOF) {
			return io.EOF // as it is: database/sql compares it
		}
		return err
	}
	for i, value := range row {
		switch v := value.(type) {
		case string:
			row[i] = bare(v)
		case []byte:
			if len(v) == 0 {
				row[i] = []byte(nil) // as SQLite returns it
			}
		}
	}
	return nil
}

// armourBase is where the 256 code points begin that stand for single bytes: the end of
// the last private-use plane, which means nothing to anybody else.
const armourBase = 0x10FF00

// armour returns a text as PostgreSQL takes it: each byte that it refuses, and each of a
// code point that stands for one, becomes the code point that stands for it. Ordinary
// texts are returned as they are. [bare] reverses it.
func armour(text string) string {
	if utf8.ValidString(text) && strings.IndexByte(text, 0) < 0 && !strings.Contains(text, "\xf4\x8f") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if (r == utf8.RuneError && size == 1) || r == 0 || r >= armourBase {
			for _, c := range []byte(text[i : i+size]) {
				b.WriteRune(armourBase + rune(c))
			}
		} else {
			b.WriteString(text[i : i+size])
		}
		i += size
	}
	return b.String()
}

// bare reverses [armour].
func bare(text string) string {
	if !strings.Contains(text, "\xf4\x8f") {
		return text
	}
	b := make([]byte, 0, len(text))
	for _, r := range text {
		if r >= armourBase {
			b = append(b, byte(r-armourBase))
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}
