package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/core/lfs"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/store"
)

// RestoringFile is in a data directory while a restore fills it; what it leaves
// unfinished must not be served.
const RestoringFile = "restoring"

// RestoreOptions configures [Restore].
type RestoreOptions struct {
	From    string    // a backup, or a folder of backups: then the newest
	DataDir string    // empty, or what a restore left unfinished
	Keys    *Identity // opens the copy of the keys; nil: they are left to the operator
	Git     *git.Git
	Now     func() time.Time
}

// RestoreResult is what a restore did.
type RestoreResult struct {
	Dir      string   `json:"backup"` // that was restored
	Manifest Manifest `json:"manifest"`
	Keys     []string `json:"keys"` // files of keys that were restored
	// Damaged are repositories with a byte in the backup that is not what it was. They
	// are restored all the same, since most of them can be read: links share files, so
	// older backups may have no better ones.
	Damaged []RestoreDamage `json:"damaged"`
	// DamagedLFS are ids of LFS objects whose bytes are not what they were. They are not
	// restored, so that they can be pushed or fetched again.
	DamagedLFS []string `json:"damaged_lfs"`
	Review     Review   `json:"review"`
}

// RestoreDamage is what is wrong with a repository of a backup.
type RestoreDamage struct {
	ID           string `json:"id"`
	Organisation string `json:"organisation"`
	Name         string `json:"name"`
	What         string `json:"what"`
}

// Restore fills an empty data directory from a backup. It checks that the backup is
// whole before the database takes its place, which is last: until then no server
// starts on the directory, and the restore can be run again. Nothing of the backup is
// changed or shared with it.
func Restore(ctx context.Context, o RestoreOptions) (_ RestoreResult, err error) {
	from, err := Latest(o.From)
	if err != nil {
		return RestoreResult{}, err
	}
	m, err := ReadManifest(from)
	if err != nil {
		return RestoreResult{}, err
	}
	for _, pair := range [][2]string{{o.DataDir, o.From}, {o.From, o.DataDir}} {
		if err := apart(pair[0], pair[1], "backup and data directory must be apart"); err != nil {
			return RestoreResult{}, err
		}
	}
	r := &restoring{RestoreOptions: o, from: from, manifest: m}
	unlock, err := r.begin()
	if err != nil {
		return RestoreResult{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	result := RestoreResult{Dir: from, Manifest: m, Damaged: []RestoreDamage{}}
	database := filepath.Join(o.DataDir, databaseFile+".restored")
	if err := r.database(database); err != nil {
		return RestoreResult{}, err
	}
	if o.Keys != nil {
		if !m.Keys {
			return RestoreResult{}, core.Errorf(core.KindPrecondition, "the backup %s has no keys; leave the passphrase or identity out, and bring the keys yourself", from)
		}
		if result.Keys, err = o.Keys.open(filepath.Join(from, keysFile), o.DataDir); err != nil {
			return RestoreResult{}, err
		}
	}
	var empty []string
	for _, entry := range m.Repositories {
		if err := ctx.Err(); err != nil {
			return RestoreResult{}, err
		}
		if !entry.Included {
			empty = append(empty, entry.ID)
			continue
		}
		if err := r.repository(entry); err != nil {
			return RestoreResult{}, err
		}
		damage, err := git.VerifyFiles(ctx, repo.PathIn(o.DataDir, entry.ID))
		if err != nil {
			return RestoreResult{}, fmt.Errorf("verify repository %s: %w", entry.ID, err)
		}
		if damage != "" {
			result.Damaged = append(result.Damaged, RestoreDamage{ID: entry.ID, Organisation: entry.Organisation, Name: entry.Name, What: damage})
		}
	}
	if result.DamagedLFS, err = r.lfs(ctx); err != nil {
		return RestoreResult{}, err
	}
	err = withCopy(ctx, database, func(s *store.Store) error {
		if err := s.MarkRestored(ctx, m.MadeAt, o.Now(), empty); err != nil {
			return err
		}
		for _, id := range empty {
			if err := r.makeEmpty(ctx, s, id); err != nil {
				return fmt.Errorf("make repository %s: %w", id, err)
			}
		}
		result.Review, err = ReviewOf(ctx, s)
		return err
	})
	if err != nil {
		return RestoreResult{}, err
	}
	return result, r.finish(database)
}

// restoring is one run of [Restore].
type restoring struct {
	RestoreOptions
	from     string
	manifest Manifest
}

// begin makes and locks the data directory, and empties it of what a restore left
// before. KindConflict: there is something else in it, or a server runs on it.
func (r *restoring) begin() (unlock func() error, err error) {
	marker := filepath.Join(r.DataDir, RestoringFile)
	if _, err := os.Lstat(marker); errors.Is(err, fs.ErrNotExist) {
		if err := r.empty(); err != nil {
			return nil, err
		}
	}
	for _, d := range []string{"run", reposFolder, "tmp", "keys"} {
		if err := durable.MkdirAll(filepath.Join(r.DataDir, d)); err != nil {
			return nil, err
		}
	}
	lock, err := os.OpenFile(filepath.Join(r.DataDir, "run", "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	release := func() error { return errors.Join(unix.Flock(int(lock.Fd()), unix.LOCK_UN), lock.Close()) }
	defer func() {
		if err != nil {
			err = errors.Join(err, release())
		}
	}()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, core.Errorf(core.KindConflict, "a server runs on %s; restore into an empty directory", r.DataDir)
	}
	if _, err := os.Lstat(marker); errors.Is(err, fs.ErrNotExist) {
		if err := r.empty(); err != nil { // again, alone now
			return nil, err
		}
		return release, durable.ReplaceFile(marker, []byte(r.from+"\n"), 0o600)
	}
	// What is here was put here by a restore that did not finish.
	for _, path := range []string{reposFolder, lfsFolder, databaseFile + ".restored", databaseFile + ".restored-wal", databaseFile + ".restored-shm"} {
		if err := os.RemoveAll(filepath.Join(r.DataDir, path)); err != nil {
			return nil, err
		}
	}
	return release, durable.MkdirAll(filepath.Join(r.DataDir, reposFolder))
}

// empty refuses a directory that has what a restore or a server's start would clear or
// replace. Keys may be there: somebody brought them.
func (r *restoring) empty() error {
	if _, err := os.Lstat(filepath.Join(r.DataDir, databaseFile)); err == nil {
		return core.Errorf(core.KindConflict, "%s has a database; restore into an empty directory, nothing is ever overwritten", r.DataDir)
	}
	for _, folder := range []string{reposFolder, lfsFolder, "tmp", "quarantine"} {
		entries, err := os.ReadDir(filepath.Join(r.DataDir, folder))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if len(entries) > 0 {
			return core.Errorf(core.KindConflict, "there is something in %s; restore into an empty directory, nothing is ever overwritten", filepath.Join(r.DataDir, folder))
		}
	}
	return nil
}

// damaged is the error of a backup that is not what it was.
func (r *restoring) damaged(what string) error {
	older := core.ShellWord(filepath.Join(filepath.Dir(r.from), "TIME"))
	return core.Errorf(core.KindPrecondition, "the backup %s is damaged: %s; restore an older one: headwater restore %s --data %s", r.from, what, older, core.ShellWord(r.DataDir))
}

// database copies the database and checks it.
func (r *restoring) database(to string) error {
	if err := durable.CopyFile(filepath.Join(r.from, databaseFile), to, 0o600); err != nil {
		return fmt.Errorf("copy the database: %w", err)
	}
	have, err := digest(to)
	if err != nil {
		return err
	}
	if have != r.manifest.Database {
		return r.damaged("its database is not the one that was written")
	}
	return nil
}

// repository copies a repository and checks that no file is missing.
func (r *restoring) repository(entry ManifestRepository) error {
	to := repo.PathIn(r.DataDir, entry.ID)
	if err := durable.MkdirAll(filepath.Dir(to)); err != nil {
		return err
	}
	files, bytes, err := copyTree(filepath.Join(r.from, reposFolder, entry.ID+".git"), to)
	if errors.Is(err, errNoFile) {
		return r.damaged(err.Error())
	}
	if errors.Is(err, fs.ErrNotExist) {
		return r.damaged("the repository " + entry.Name + " (" + entry.ID + ") is missing")
	}
	if err != nil {
		return fmt.Errorf("copy repository %s: %w", entry.ID, err)
	}
	if files != entry.Files || bytes != entry.Bytes {
		return r.damaged(fmt.Sprintf("the repository %s (%s) has %d files of %d bytes, and must have %d of %d", entry.Name, entry.ID, files, bytes, entry.Files, entry.Bytes))
	}
	return durable.SyncDir(filepath.Dir(to))
}

// lfs copies the LFS objects, checks that none is missing, and removes those that are
// damaged, whose ids it returns.
func (r *restoring) lfs(ctx context.Context) (damaged []string, err error) {
	damaged = []string{}
	if r.manifest.LFS.Files == 0 {
		return damaged, nil
	}
	to := filepath.Join(r.DataDir, lfsFolder)
	files, bytes, err := copyTree(filepath.Join(r.from, lfsFolder), to)
	if errors.Is(err, errNoFile) {
		return nil, r.damaged(err.Error())
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("copy LFS objects: %w", err)
	}
	if m := r.manifest.LFS; files != m.Files || bytes != m.Bytes {
		return nil, r.damaged(fmt.Sprintf("it has %d LFS objects of %d bytes, and must have %d of %d", files, bytes, m.Files, m.Bytes))
	}
	folder, err := lfs.OpenFolder(to)
	if err != nil {
		return nil, err
	}
	err = folder.Each(ctx, func(p lfs.Pointer) error {
		ok, err := folder.Sound(ctx, p.OID)
		if err != nil || ok {
			return err
		}
		damaged = append(damaged, string(p.OID))
		return folder.Remove(ctx, p.OID)
	})
	return damaged, err
}

// makeEmpty makes the folder of a repository that its upstream fills again.
func (r *restoring) makeEmpty(ctx context.Context, s *store.Store, id string) error {
	found, err := s.RepositoryByID(ctx, id)
	if core.KindOf(err) == core.KindNotFound {
		found, err = s.DeletedRepositoryByID(ctx, id)
	}
	if err != nil {
		return err
	}
	to := repo.PathIn(r.DataDir, id)
	if err := durable.MkdirAll(filepath.Dir(to)); err != nil {
		return err
	}
	if err := r.Git.Init(ctx, to, found.DefaultBranch, found.ObjectFormat); err != nil {
		return err
	}
	if err := repo.WriteDescription(to, found); err != nil {
		return err
	}
	return errors.Join(durable.SyncFolders(to), durable.SyncDir(filepath.Dir(to)))
}

// finish puts the database in its place and takes the mark away: from here on a server
// starts.
func (r *restoring) finish(database string) error {
	if err := durable.SyncFile(database); err != nil {
		return err
	}
	if err := os.Rename(database, filepath.Join(r.DataDir, databaseFile)); err != nil {
		return err
	}
	if err := durable.SyncDir(r.DataDir); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(r.DataDir, RestoringFile)); err != nil {
		return err
	}
	return durable.SyncDir(r.DataDir)
}
