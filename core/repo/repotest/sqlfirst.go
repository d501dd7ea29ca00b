package repotest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/store"
)

// sqlFirst is the commit point that many nodes need, on SQLite: refs, version,
// journal and events are one SQL transaction, and the disk is a copy that comes
// forward after it. It is here to hold the rest of the core to what
// [repo.CommitPoint] promises; it is not made for speed.
//
// Rows are the truth for all refs but tracking refs, which the next listing of the
// upstream brings again. What is on the disk of a repository without rows becomes
// its first version.
type sqlFirst struct {
	git   *git.Git
	store core.Transactor
	path  func(repoID string) string
	fail  func(string)

	mu       sync.Mutex
	forwards map[string]*sync.Mutex // by repository id: its copy comes forward once at a time
}

var _ repo.CommitPoint = (*sqlFirst)(nil)

// SQLFirst returns the commit point of [repo.Options]; the store must be package
// store's.
func SQLFirst(o repo.CommitPointOptions) repo.CommitPoint {
	return &sqlFirst{git: o.Git, store: o.Store, path: o.Path, fail: o.Failpoint, forwards: map[string]*sync.Mutex{}}
}

// lock keeps others from bringing the copy forward.
func (s *sqlFirst) lock(repoID string) (unlock func()) {
	s.mu.Lock()
	one := s.forwards[repoID]
	if one == nil {
		one = &sync.Mutex{}
		s.forwards[repoID] = one
	}
	s.mu.Unlock()
	one.Lock()
	return one.Unlock
}

const sqlFirstSchema = `
	CREATE TABLE IF NOT EXISTS copies (repo_id TEXT PRIMARY KEY, version BIGINT NOT NULL, head TEXT NOT NULL);
	CREATE TABLE IF NOT EXISTS copied_refs (repo_id TEXT NOT NULL, name TEXT NOT NULL, target TEXT NOT NULL, PRIMARY KEY (repo_id, name))`

// versionFile says in a repository's folder which version its refs are.
const versionFile = "copy-version"

// tx runs f in one SQL transaction.
func (s *sqlFirst) tx(ctx context.Context, f func(q core.Queries, tx *sql.Tx) error) error {
	return s.store.Tx(ctx, func(q core.Queries) error {
		tx, ok := store.TxOf(q)
		if !ok {
			return errors.New("not a transaction of package store")
		}
		if _, err := tx.ExecContext(ctx, sqlFirstSchema); err != nil {
			return err
		}
		return f(q, tx)
	})
}

// Prepare implements [repo.CommitPoint]: rows know nothing of objects, so that those
// are there is checked before.
func (s *sqlFirst) Prepare(ctx context.Context, repoID string, updates []core.RefUpdate) error {
	var ask strings.Builder
	var asked []core.RefUpdate
	for _, u := range updates {
		if !u.IsDelete() {
			fmt.Fprintln(&ask, u.New)
			asked = append(asked, u)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	out, err := s.git.Output(ctx, git.Command{
		Name: "cat-file", Dir: s.path(repoID), Flags: []string{"--batch-check=%(objecttype)"}, Stdin: strings.NewReader(ask.String()),
	})
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	for i, u := range asked {
		if strings.HasSuffix(lines[i], " missing") || strings.HasPrefix(u.Name, "refs/heads/") && lines[i] != "commit" {
			return &git.RefError{Ref: u.Name, Kind: git.RefNoObject, Err: errors.New(lines[i])}
		}
	}
	return nil
}

// Commit implements [repo.CommitPoint].
func (s *sqlFirst) Commit(ctx context.Context, c repo.Change) error {
	step := s.fail
	if c.Record == nil || c.Unborn {
		step = func(string) {}
	}
	var rows, tracking []git.RefChange
	deletes := 0
	for i, all := range [][]git.RefChange{c.Deletes, c.Sets} {
		for _, ch := range all {
			if strings.HasPrefix(ch.Name, core.TrackingPrefix) {
				tracking = append(tracking, ch)
				continue
			}
			rows = append(rows, ch)
			deletes += 1 - i
		}
	}
	if len(rows) == 0 && c.Head == "" && c.Record == nil {
		return s.track(ctx, c.RepoID, tracking)
	}
	if err := s.begin(ctx, c.RepoID); err != nil {
		return err
	}
	if err := s.tx(ctx, func(q core.Queries, tx *sql.Tx) error {
		if err := changeRows(ctx, tx, c.RepoID, rows, deletes); err != nil {
			return err
		}
		if c.Head != "" {
			if err := moveHead(ctx, tx, c); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "UPDATE copies SET version = version + 1 WHERE repo_id = $1", c.RepoID); err != nil || c.Record == nil {
			return err
		}
		return c.Record(q, nil)
	}); err != nil {
		return err
	}
	step("sql-committed")
	// It has happened. What the copy cannot do now it does when somebody reads.
	defer s.lock(c.RepoID)()
	if err := s.forward(ctx, c.RepoID, step); err == nil {
		_ = s.track(ctx, c.RepoID, tracking) // the next sync brings what is missing
	}
	return nil
}

// track moves tracking refs, which are on the disk alone.
func (s *sqlFirst) track(ctx context.Context, repoID string, changes []git.RefChange) error {
	var deletes, sets []git.RefChange
	for _, ch := range changes {
		if ch.IsDelete() {
			deletes = append(deletes, ch)
		} else {
			sets = append(sets, ch)
		}
	}
	_, err := s.git.UpdateRefs(ctx, s.path(repoID), deletes, sets)
	return err
}

// begin makes the first version of a repository from what is on its disk.
func (s *sqlFirst) begin(ctx context.Context, repoID string) error {
	known := false
	if err := s.tx(ctx, func(_ core.Queries, tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT count(*) > 0 FROM copies WHERE repo_id = $1", repoID).Scan(&known)
	}); err != nil || known {
		return err
	}
	refs, head, err := s.disk(ctx, repoID)
	if err != nil {
		return err
	}
	return s.tx(ctx, func(_ core.Queries, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO copies VALUES ($1, 0, $2)", repoID, head); err != nil {
			return err
		}
		for name, id := range refs {
			if _, err := tx.ExecContext(ctx, "INSERT INTO copied_refs VALUES ($1, $2, $3)", repoID, name, id); err != nil {
				return err
			}
		}
		return nil
	})
}

// disk returns what the copy shows.
func (s *sqlFirst) disk(ctx context.Context, repoID string) (refs map[string]core.ObjectID, head string, err error) {
	dir := s.path(repoID)
	all, err := s.git.RefMap(ctx, dir)
	if err != nil {
		return nil, "", err
	}
	refs = map[string]core.ObjectID{}
	for name, id := range all {
		if !strings.HasPrefix(name, core.TrackingPrefix) {
			refs[name] = id
		}
	}
	out, err := s.git.Output(ctx, git.Command{Name: "symbolic-ref", Dir: dir, Args: []string{"HEAD"}})
	return refs, strings.TrimSpace(string(out)), err
}

// changeRows makes the changes, of which the first ones are deletes, or returns a
// [*git.RefError].
func changeRows(ctx context.Context, tx *sql.Tx, repoID string, changes []git.RefChange, deletes int) error {
	for _, ch := range changes {
		var have core.ObjectID
		err := tx.QueryRowContext(ctx, "SELECT target FROM copied_refs WHERE repo_id = $1 AND name = $2", repoID, ch.Name).Scan(&have)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if !ch.Force && !have.Same(ch.Old) {
			return &git.RefError{Ref: ch.Name, Kind: git.RefStale, Err: fmt.Errorf("is at %q, not at %q", have, ch.Old)}
		}
		if ch.IsDelete() {
			_, err = tx.ExecContext(ctx, "DELETE FROM copied_refs WHERE repo_id = $1 AND name = $2", repoID, ch.Name)
		} else {
			_, err = tx.ExecContext(ctx, "INSERT INTO copied_refs VALUES ($1, $2, $3) ON CONFLICT (repo_id, name) DO UPDATE SET target = excluded.target", repoID, ch.Name, ch.New)
		}
		if err != nil {
			return err
		}
	}
	for _, ch := range changes[deletes:] {
		if err := checkNames(ctx, tx, repoID, ch); err != nil {
			return err
		}
	}
	return nil
}

// checkNames finds a ref whose name is a folder of the changed one's, or below it.
// Old values alone would let one writer make "a" and another "a/b", which no disk
// can hold.
func checkNames(ctx context.Context, tx *sql.Tx, repoID string, ch git.RefChange) error {
	if ch.IsDelete() {
		return nil
	}
	for i, c := range ch.Name {
		if c != '/' {
			continue
		}
		n := 0
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM copied_refs WHERE repo_id = $1 AND name = $2", repoID, ch.Name[:i]).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return &git.RefError{Ref: ch.Name, Kind: git.RefConflict, Err: fmt.Errorf("%q exists", ch.Name[:i])}
		}
	}
	// "0" is the byte after "/": SQLite compares text by bytes.
	n := 0
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM copied_refs WHERE repo_id = $1 AND name > $2 AND name < $3", repoID, ch.Name+"/", ch.Name+"0").Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return &git.RefError{Ref: ch.Name, Kind: git.RefConflict, Err: errors.New("refs exist below it")}
	}
	return nil
}

// moveHead points HEAD at a branch, if that exists.
func moveHead(ctx context.Context, tx *sql.Tx, c repo.Change) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE copies SET head = $1 WHERE repo_id = $2
			AND ($3 OR EXISTS (SELECT 1 FROM copied_refs WHERE repo_id = $2 AND name = $1))`, c.Head, c.RepoID, c.Unborn)
	return err
}

// Replaced implements [repo.CommitPoint]: the next change begins anew with what is on
// the disk. The copy of now may be behind the rows only if it could not be written.
func (s *sqlFirst) Replaced(ctx context.Context, repoID string) error {
	defer s.lock(repoID)()
	return s.tx(ctx, func(_ core.Queries, tx *sql.Tx) error {
		for _, table := range []string{"copies", "copied_refs"} {
			if _, err := tx.ExecContext(ctx, "DELETE FROM "+table+" WHERE repo_id = $1", repoID); err != nil {
				return err
			}
		}
		return nil
	})
}

// ComeForward implements [repo.CommitPoint].
func (s *sqlFirst) ComeForward(ctx context.Context, repoID string) error {
	defer s.lock(repoID)()
	return s.forward(ctx, repoID, func(string) {})
}

// forward makes the refs on the disk equal to the newest version. It may be cut off
// anywhere and be done again: the version file comes last.
func (s *sqlFirst) forward(ctx context.Context, repoID string, step func(name string)) error {
	var version, head string
	want := map[string]core.ObjectID{}
	if err := s.tx(ctx, func(_ core.Queries, tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, "SELECT version, head FROM copies WHERE repo_id = $1", repoID).Scan(&version, &head)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, "SELECT name, target FROM copied_refs WHERE repo_id = $1", repoID)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			var id core.ObjectID
			if err := rows.Scan(&name, &id); err != nil {
				return err
			}
			want[name] = id
		}
		return rows.Err()
	}); err != nil || version == "" {
		return err
	}
	file := filepath.Join(s.path(repoID), versionFile)
	if at, err := os.ReadFile(file); err == nil && string(at) == version {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	have, at, err := s.disk(ctx, repoID)
	if err != nil {
		return err
	}
	// Only what is there is deleted, and without old values: it is a copy.
	var deletes, sets []git.RefChange
	for name := range have {
		if _, ok := want[name]; !ok {
			deletes = append(deletes, git.RefChange{RefUpdate: core.RefUpdate{Name: name}, Force: true})
		}
	}
	for name, id := range want {
		if have[name] != id {
			sets = append(sets, git.RefChange{RefUpdate: core.RefUpdate{Name: name, New: id}, Force: true})
		}
	}
	if _, err := s.git.UpdateRefs(ctx, s.path(repoID), deletes); err != nil {
		return err
	}
	step("refs-deleted")
	if _, err := s.git.UpdateRefs(ctx, s.path(repoID), sets); err != nil {
		return err
	}
	step("refs-applied")
	if head != "" && head != at {
		if err := s.git.SetHead(ctx, s.path(repoID), head); err != nil {
			return err
		}
		step("head-moved")
	}
	if err := os.WriteFile(file+".new", []byte(version), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
