package store

import (
	"database/sql"

	"github.com/headwater-git/headwater/core"
)

// TxOf returns the SQL transaction that q runs in, for what keeps tables of its own
// in the same database and must change them with the others' or not at all. ok is
// false for queries outside [Store.Tx], or of another store.
func TxOf(q core.Queries) (tx *sql.Tx, ok bool) {
	own, ok := q.(*queries)
	if !ok {
		return nil, false
	}
	tx, ok = own.read.(*sql.Tx)
	return tx, ok
}
