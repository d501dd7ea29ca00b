package store

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"

	"modernc.org/sqlite"

	"github.com/headwater-git/headwater/core"
)

// Snapshot is a database as it was at one moment, while others write on.
type Snapshot struct {
	db   *sql.DB
	conn *sql.Conn
}

// SnapshotRepository is what a backup has to know of a repository.
type SnapshotRepository struct {
	ID            string
	Org           string
	Name          string
	Synced        bool
	Ready         bool               // a first sync has succeeded
	UpstreamState core.UpstreamState // of a synced one
}

// OpenSnapshot fixes the state of the database file at path, which may be in use. It
// changes nothing, not even the schema. KindPrecondition: the schema is older than
// what this program backs up, or newer.
func OpenSnapshot(ctx context.Context, path string) (_ *Snapshot, err error) {
	action := op{name: "take a snapshot of the database", subject: path}
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, action.fail(err)
	}
	db, err := sql.Open("sqlite", dsn(path, inspectParams(path)))
	if err != nil {
		return nil, action.fail(err)
	}
	s := &Snapshot{db: db}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.conn, err = db.Conn(ctx); err != nil {
		return nil, action.fail(err)
	}
	// The transaction's first read fixes what all of it sees
	// (https://www.sqlite.org/isolation.html).
	if _, err := s.conn.ExecContext(ctx, "BEGIN"); err != nil {
		return nil, action.fail(err)
	}
	var have int64
	if err := s.conn.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM `+versionTable+` WHERE is_applied`).Scan(&have); err != nil {
		return nil, action.fail(err)
	}
	provider, err := migrator(db, sqliteMigrations)
	if err != nil {
		return nil, action.fail(err)
	}
	sources := provider.ListSources()
	if want := sources[len(sources)-1].Version; have != want {
		return nil, core.Errorf(core.KindPrecondition,
			"the database has schema version %d, and this program backs up version %d: use the program that serves it", have, want)
	}
	return s, nil
}

// Repositories lists the repositories, by id.
func (s *Snapshot) Repositories(ctx context.Context) ([]SnapshotRepository, error) {
	all, err := listForSnapshot(ctx, s.conn)
	return all, op{name: "list repositories"}.fail(err)
}

// listForSnapshot reads the repositories within a transaction, by id.
func listForSnapshot(ctx context.Context, tx interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}) (all []SnapshotRepository, err error) {
	rows, err := tx.QueryContext(ctx, `
		SELECT r.id, r.org, CASE WHEN r.deleted_at > 0 THEN r.deleted_name ELSE r.name END, u.repo_id IS NOT NULL, COALESCE(s.first_synced_at, 0) > 0, COALESCE(s.upstream_state, '')
		FROM repositories r LEFT JOIN upstreams u ON u.repo_id = r.id LEFT JOIN sync_states s ON s.repo_id = r.id ORDER BY r.id`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r SnapshotRepository
		if err := rows.Scan(&r.ID, &r.Org, &r.Name, &r.Synced, &r.Ready, &r.UpstreamState); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// EachLFSObject calls f with every LFS object of a repository, in the order of their ids.
func (s *Snapshot) EachLFSObject(ctx context.Context, repoID string, f func(core.LFSObject) error) (err error) {
	defer func() { err = op{name: "list LFS objects", subject: repoID}.fail(err) }()
	rows, err := s.conn.QueryContext(ctx, `SELECT oid, size FROM lfs_objects WHERE repo_id = $1 ORDER BY oid`, repoID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		o, err := scanLFSObject(rows)
		if err != nil {
			return err
		}
		if err := f(o); err != nil {
			return err
		}
	}
	return rows.Err()
}

// DeliveriesHeld reports whether deliveries wait for an operator's word.
func (s *Snapshot) DeliveriesHeld(ctx context.Context) (held bool, err error) {
	err = s.conn.QueryRowContext(ctx, `SELECT EXISTS (`+heldByRestore+`)`).Scan(&held)
	return held, op{name: "read the restore"}.fail(err)
}

// backuper is the part of the driver's connection that copies a database.
type backuper interface {
	NewBackup(to string) (*sqlite.Backup, error)
}

// WriteTo copies the database to a new file, which only its owner may read.
func (s *Snapshot) WriteTo(ctx context.Context, path string) error {
	action := op{name: "copy the database", subject: path}
	path, err := filepath.Abs(path)
	if err != nil {
		return action.fail(err)
	}
	if err := createFile(path); err != nil {
		return action.fail(err)
	}
	err = s.conn.Raw(func(c any) error {
		b, err := c.(backuper).NewBackup(dsn(path, url.Values{}))
		if err != nil {
			return err
		}
		// All pages in one step: it reads within the transaction, so that no writer
		// waits and none makes it begin anew (https://www.sqlite.org/backup.html).
		more, err := b.Step(-1)
		if err == nil && more {
			err = errors.New("the copy is not complete")
		}
		return errors.Join(err, b.Finish())
	})
	return action.fail(err)
}

// Close ends the snapshot.
func (s *Snapshot) Close() error {
	var err error
	if s.conn != nil {
		err = s.conn.Close()
	}
	return errors.Join(err, s.db.Close())
}
