package store

import (
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"github.com/headwater-git/headwater/core"
)

// postgresFault reads an error of PostgreSQL or of its driver.
func postgresFault(err error) fault {
	code := postgresCode(err)
	f := fault{unique: code == uniqueViolation, orphan: code == foreignKeyViolation, shortage: postgresShortage(code)}
	f.advice, f.away = postgresAdvice(err)
	return f
}

// postgresCode returns the SQLSTATE of an error of the database, "" if it is none
// (PostgreSQL manual, appendix A).
func postgresCode(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// The codes that mean something to this package.
const (
	uniqueViolation     = "23505"
	foreignKeyViolation = "23503"
)

// postgresShortage returns the sentence for what the database's machine ran out of.
func postgresShortage(code string) string {
	var cause error
	switch code {
	case "53100": // disk_full
		cause = unix.ENOSPC
	case "53200": // out_of_memory
		cause = unix.ENOMEM
	default:
		return ""
	}
	if short, ok := core.ShortageOf(cause); ok {
		return short.Sentence("PostgreSQL")
	}
	return ""
}

// postgresAdvice returns what a person should know about an error with a code of
// PostgreSQL or of its driver, "" if nothing special, and whether the database could not
// be asked, for now.
func postgresAdvice(err error) (text string, away bool) {
	if e, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return "PostgreSQL cannot be connected to: " + reason(e.Unwrap()), true
	}
	switch code := postgresCode(err); {
	case code == "53300": // too_many_connections
		return "PostgreSQL has no connection left for this server, which needs up to ten: raise max_connections or the limit of the role", true
	case code == "25006": // read_only_sql_transaction
		return "the PostgreSQL that was reached is a standby and takes no writes; let the connection string name the primary, or all with target_session_attrs=read-write", false
	case code == "42501": // insufficient_privilege
		return "the role may not do that in PostgreSQL: it must own the schema", false
	case strings.HasPrefix(code, "57P"): // admin_shutdown, crash_shutdown, cannot_connect_now
		return "PostgreSQL is shutting down or starting", true
	case strings.HasPrefix(code, "08"), pgconn.Timeout(err), errors.Is(err, driver.ErrBadConn):
		return "the connection to PostgreSQL broke", true
	}
	return "", false
}

// reason returns the end of an error: pgx names every address that it tried, one a line,
// and what of the machine it used.
func reason(err error) string {
	if err == nil {
		return "no reason is known"
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Message
	}
	text := strings.TrimSpace(err.Error())
	return strings.TrimSpace(text[strings.LastIndexAny(text, ":\n")+1:])
}
