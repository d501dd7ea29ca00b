package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/server/database"
	"github.com/headwater-git/headwater/store"
)

const (
	// freezeTries is how often a backup begins anew because a repository was made
	// between the server's list and the database's.
	freezeTries = 20
	// partialPrefix begins the name of a backup that is not whole.
	partialPrefix = ".partial-"
	// stagePrefix begins the name of the folder of links in tmp/ of the data directory.
	stagePrefix = "backup-"
)

// Options configures [Write].
type Options struct {
	DataDir string
	To      string     // folder that backups are made in
	All     bool       // repositories that can be fetched again, too
	Keep    int        // how many whole backups stay; at least 1
	Version string     // of the program
	Keys    *Recipient // who can open the copy of the keys; nil: keys are left out
	// Stopped: no server runs, and the caller holds the lock of the data directory.
	Stopped bool
	Now     func() time.Time
}

// Result is what a backup did.
type Result struct {
	Dir      string        `json:"dir"` // of the new backup
	Manifest Manifest      `json:"manifest"`
	Copied   int64         `json:"copied_bytes"` // the rest are links
	Held     time.Duration `json:"-"`            // how long writers waited
	Removed  []string      `json:"removed"`      // older backups
}

// Write makes a backup. What it cannot finish it takes away again; backups of before
// stay as they are until the new one is whole. The data directory is written to in
// tmp/ alone.
func Write(ctx context.Context, o Options) (_ Result, err error) {
	if err := database.Refuse(o.DataDir, "a backup", "back up PostgreSQL by its own tools (pg_dump, or its archive), and after it a snapshot of the data directory"); err != nil {
		return Result{}, err
	}
	if err := apart(o.To, o.DataDir, "a backup in the data directory is lost with it, and the server clears folders there"); err != nil {
		return Result{}, err
	}
	if err := os.MkdirAll(o.To, 0o700); err != nil {
		return Result{}, err
	}
	unlock, err := lockFolder(o.To)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	before, err := Backups(o.To)
	if err != nil {
		return Result{}, err
	}
	w := &writing{Options: o}
	if len(before) > 0 {
		w.before = filepath.Join(o.To, before[len(before)-1])
	}
	if err := w.removePartial(); err != nil {
		return Result{}, err
	}
	if w.stage, err = os.MkdirTemp(filepath.Join(o.DataDir, "tmp"), stagePrefix); err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(w.stage)) }()
	release, err := lockFolder(w.stage)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := w.removeStaged(); err != nil {
		return Result{}, err
	}
	if w.dir, err = os.MkdirTemp(o.To, partialPrefix); err != nil {
		return Result{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(w.dir))
		}
	}()
	if err := w.take(ctx); err != nil {
		return Result{}, err
	}
	if err := w.fill(ctx); err != nil {
		return Result{}, err
	}
	return w.finish(before)
}

// writing is one run of [Write].
type writing struct {
	Options
	stage  string // folder of links in the data directory
	dir    string // the backup while it is not whole
	before string // the backup before, "" if there is none

	at      time.Time
	held    time.Duration
	repos   []store.SnapshotRepository
	gone    []string // ids of repositories that were deleted after the moment
	refs    map[string]int
	reasons map[string]string // of those that are in it
	copied  int64
}

// removePartial takes away what an earlier run left that was killed.
func (w *writing) removePartial() error {
	entries, err := os.ReadDir(w.To)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), partialPrefix) {
			if err := os.RemoveAll(filepath.Join(w.To, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeStaged takes away the links of runs that were killed: they would keep files on
// the disk that the server has long removed. One that runs holds the lock of its folder.
func (w *writing) removeStaged() error {
	tmp := filepath.Join(w.DataDir, "tmp")
	entries, err := os.ReadDir(tmp)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(tmp, e.Name())
		if !strings.HasPrefix(e.Name(), stagePrefix) || path == w.stage {
			continue
		}
		release, err := lockFolder(path)
		if err != nil {
			continue
		}
		if err := errors.Join(os.RemoveAll(path), release()); err != nil {
			return err
		}
	}
	return nil
}

// choose decides which repositories are in the backup.
func (w *writing) choose() error {
	w.refs, w.reasons = map[string]int{}, map[string]string{}
	for _, r := range w.repos {
		dir := filepath.Join(w.stage, r.ID)
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue // it has no folder: doctor says so
		}
		refs, err := readRefs(dir)
		if err != nil {
			return fmt.Errorf("read the refs of repository %s: %w", r.ID, err)
		}
		w.refs[r.ID] = len(refs)
		switch {
		case !r.Synced:
			w.reasons[r.ID] = ReasonLocal
		case !r.UpstreamState.Readable() && len(refs) > 0:
			w.reasons[r.ID] = ReasonUnreachable
		case ownRefs(refs):
			w.reasons[r.ID] = ReasonOwnRefs
		case w.All:
			w.reasons[r.ID] = ReasonAll
		}
	}
	return nil
}

// fill puts the staged repositories and the keys into the backup.
func (w *writing) fill(ctx context.Context) error {
	if len(w.gone) > 0 {
		if err := forget(ctx, filepath.Join(w.dir, databaseFile), w.gone); err != nil {
			return err
		}
	}
	m := Manifest{Format: manifestFormat, MadeAt: w.at, Version: w.Version, Repositories: []ManifestRepository{}}
	gone := map[string]bool{}
	for _, id := range w.gone {
		gone[id] = true
	}
	for _, r := range w.repos {
		if gone[r.ID] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		entry := ManifestRepository{ID: r.ID, Organisation: r.Org, Name: r.Name, Reason: ReasonDerived, Refs: w.refs[r.ID]}
		if reason := w.reasons[r.ID]; reason != "" {
			entry.Included, entry.Reason = true, reason
			before := ""
			if w.before != "" {
				before = filepath.Join(w.before, reposFolder, r.ID+".git")
			}
			to := filepath.Join(w.dir, reposFolder, r.ID+".git")
			if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
				return err
			}
			var err error
			var copied int64
			if entry.Files, entry.Bytes, copied, err = transfer(filepath.Join(w.stage, r.ID), before, to); err != nil {
				return fmt.Errorf("copy repository %s: %w", r.ID, err)
			}
			w.copied += copied
		}
		m.Repositories = append(m.Repositories, entry)
	}
	var err error
	if m.LFS, err = w.fillLFS(); err != nil {
		return fmt.Errorf("copy LFS objects: %w", err)
	}
	if w.Keys != nil {
		if err := w.Keys.seal(w.DataDir, filepath.Join(w.dir, keysFile)); err != nil {
			return fmt.Errorf("encrypt the keys: %w", err)
		}
		m.Keys = true
	}
	database := filepath.Join(w.dir, databaseFile)
	if err := durable.SyncFile(database); err != nil {
		return err
	}
	if m.Database, err = digest(database); err != nil {
		return err
	}
	w.copied += m.Database.Bytes
	if err := syncDirs(w.dir); err != nil {
		return err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return durable.ReplaceFile(filepath.Join(w.dir, manifestFile), append(text, '\n'), 0o600)
}

// finish gives the whole backup its name and removes the oldest ones.
func (w *writing) finish(before []string) (Result, error) {
	to := filepath.Join(w.To, w.at.Format(stamp))
	if _, err := os.Lstat(to); err == nil {
		return Result{}, core.Errorf(core.KindConflict, "there is a backup of this second already: %s", to)
	}
	if err := os.Rename(w.dir, to); err != nil {
		return Result{}, err
	}
	if err := durable.SyncDir(w.To); err != nil {
		return Result{}, err
	}
	m, err := ReadManifest(to)
	if err != nil {
		return Result{}, err
	}
	r := Result{Dir: to, Manifest: m, Copied: w.copied, Held: w.held, Removed: []string{}}
	for len(before) > max(w.Keep, 1)-1 {
		old := before[0]
		before = before[1:]
		if err := os.RemoveAll(filepath.Join(w.To, old)); err != nil {
			return r, fmt.Errorf("the backup %s is whole, but an older one could not be removed: %w", to, err)
		}
		r.Removed = append(r.Removed, old)
	}
	return r, nil
}

// forget removes repositories from the copy of a database.
func forget(ctx context.Context, database string, ids []string) error {
	return withCopy(ctx, database, func(s *store.Store) error {
		for _, id := range ids {
			if err := s.DeleteRepository(ctx, id); err != nil && core.KindOf(err) != core.KindNotFound {
				return err
			}
		}
		return nil
	})
}

// withCopy opens the copy of a database, of which secrets stay sealed, and leaves one
// file of it.
func withCopy(ctx context.Context, database string, f func(s *store.Store) error) error {
	s, err := store.Open(ctx, database, store.Options{Sealer: noSecrets{}})
	if err != nil {
		return err
	}
	if err := errors.Join(f(s), s.Close()); err != nil {
		return err
	}
	for _, suffix := range []string{"-wal", "-shm", "-migrate.lock"} {
		if err := os.Remove(database + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// noSecrets is the sealer of a store whose secrets nobody reads.
type noSecrets struct{}

var errNoSecrets = errors.New("a backup neither reads nor writes secrets")

// Seal implements [store.Sealer].
func (noSecrets) Seal(_, _ []byte) ([]byte, error) { return nil, errNoSecrets }

// Open implements [store.Sealer].
func (noSecrets) Open(_, _ []byte) ([]byte, error) { return nil, errNoSecrets }
