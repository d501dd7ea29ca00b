// Package database opens the database that belongs to a data directory: SQLite's file in
// it, or a PostgreSQL elsewhere. A data directory stays with the one that it began with:
// with another its repositories would be strangers to it.
package database

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/store"
)

// Variable is the environment variable with the connection string of PostgreSQL.
const Variable = "HEADWATER_DATABASE"

// File is the name of SQLite's database in a data directory.
const File = "headwater.db"

// markFile says that the database of a data directory is a PostgreSQL, and which.
const markFile = "database.json"

// mark is the text of the mark file.
type mark struct {
	Engine string `json:"engine"` // "postgresql"
	Name   string `json:"name"`   // [store.Store.Name]
}

// Place is where the database of a data directory is.
type Place struct {
	DataDir string
	// DSN is the connection string of PostgreSQL, with its password; "": SQLite.
	DSN providers.Secret
}

// Exists reports whether the data directory has a database.
func Exists(dataDir string) bool {
	for _, name := range []string{File, markFile} {
		if _, err := os.Stat(filepath.Join(dataDir, name)); err == nil {
			return true
		}
	}
	return false
}

// IsPostgres reports whether the data directory belongs to a PostgreSQL.
func IsPostgres(dataDir string) (bool, error) {
	m, err := readMark(dataDir)
	return m != nil, err
}

// Refuse returns KindPrecondition with a sentence if the data directory belongs to a
// PostgreSQL, for what works on SQLite's file alone; what names that, such as "a backup".
func Refuse(dataDir, what, instead string) error {
	is, err := IsPostgres(dataDir)
	if err == nil && is {
		err = core.Errorf(core.KindPrecondition, "the database of %s is a PostgreSQL, and %s works on SQLite's alone: %s", dataDir, what, instead)
	}
	return err
}

// Open opens the database, and makes what is missing in a new one. KindPrecondition: it
// is not the one that the data directory belongs to; else as [store.Open] and
// [store.OpenPostgres].
func (p Place) Open(ctx context.Context, opts store.Options) (*store.Store, error) {
	known, err := readMark(p.DataDir)
	if err != nil {
		return nil, err
	}
	if p.DSN == "" {
		if known != nil {
			return nil, core.Errorf(core.KindPrecondition,
				"the database of %s is a PostgreSQL: give its connection string in %s or, to the server, by --database-file", p.DataDir, Variable)
		}
		return store.Open(ctx, filepath.Join(p.DataDir, File), opts)
	}
	if _, err := os.Stat(filepath.Join(p.DataDir, File)); err == nil {
		return nil, core.Errorf(core.KindPrecondition,
			"the database of %s is SQLite's, and a connection string of PostgreSQL is given: leave that out (%s, --database-file), or choose an empty data directory", p.DataDir, Variable)
	}
	st, err := store.OpenPostgres(ctx, p.DSN.Reveal(), opts)
	if err != nil {
		return nil, err
	}
	name, err := st.Name(ctx)
	switch {
	case err != nil:
	case known == nil:
		err = writeMark(p.DataDir, mark{Engine: "postgresql", Name: name})
	case known.Name != name:
		err = errOtherDatabase(p.DataDir)
	}
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return st, nil
}

// Inspect reads a PostgreSQL as [store.InspectPostgres], and changes nothing.
// KindPrecondition: it is not the one that the data directory belongs to.
func (p Place) Inspect(ctx context.Context) (store.PostgresContent, error) {
	known, err := readMark(p.DataDir)
	if err != nil {
		return store.PostgresContent{}, err
	}
	found, err := store.InspectPostgres(ctx, p.DSN.Reveal())
	if err == nil && (known == nil || known.Name != found.Name) {
		err = errOtherDatabase(p.DataDir)
	}
	return found, err
}

// errOtherDatabase says that a connection string names the wrong database.
func errOtherDatabase(dataDir string) error {
	return core.Errorf(core.KindPrecondition,
		"the PostgreSQL database that is given is not the one that %s belongs to: give the right one, or choose an empty data directory", dataDir)
}

// readMark returns nil where there is none.
func readMark(dataDir string) (*mark, error) {
	path := filepath.Join(dataDir, markFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var m mark
	if err := json.Unmarshal(text, &m); err != nil || m.Engine != "postgresql" || m.Name == "" {
		return nil, core.Errorf(core.KindPrecondition, "%s does not name the database of the data directory; bring the file back from a backup", path)
	}
	return &m, nil
}

func writeMark(dataDir string, m mark) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := durable.ReplaceFile(filepath.Join(dataDir, markFile), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("note the database of the data directory: %w", err)
	}
	return nil
}
