package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/server/backup"
	"github.com/headwater-git/headwater/server/database"
	"github.com/headwater-git/headwater/store"
)

// checkDataDir refuses to start on a data directory of which a part is missing: a
// start would make an empty one in its place, which nobody could tell from a loss.
// It is KindPrecondition, with the way out. It writes nothing.
func checkDataDir(ctx context.Context, o Options) error {
	if _, err := os.Lstat(filepath.Join(o.DataDir, backup.RestoringFile)); err == nil {
		return core.Errorf(core.KindPrecondition,
			"a restore into %s did not finish; run it again with the same backup: headwater restore BACKUP --data %s", o.DataDir, core.ShellWord(o.DataDir))
	}
	if o.Database != "" {
		return nil // see checkDatabase
	}
	path := filepath.Join(o.DataDir, database.File)
	found, err := store.Inspect(ctx, path, false)
	if err != nil {
		return err
	}
	if found.Repositories == 0 && found.Damage == "" {
		what := "has no repository"
		if found.Missing {
			what = "is missing or empty"
		}
		if err := refuseFolders(o.DataDir, "the database "+path+" "+what,
			"bring the database back (headwater restore BACKUP into another folder, or your own copy), or take the repositories into a new one: headwater doctor --adopt --data "+core.ShellWord(o.DataDir)); err != nil {
			return err
		}
	}
	if o.SealKey != "" || found.Sealed == 0 {
		return nil
	}
	key := filepath.Join(o.DataDir, "keys", "seal.json")
	if _, err := os.Stat(key); errors.Is(err, fs.ErrNotExist) {
		return core.Errorf(core.KindPrecondition,
			"the key %s is missing, but the database has %s sealed with it: bring the file back, or give its text by HEADWATER_SEAL_KEY or --seal-key-file; if it is lost, headwater doctor --data %s says how to go on without those secrets",
			key, core.Count(found.Sealed, "secret"), core.ShellWord(o.DataDir))
	}
	return nil
}

// checkDatabase refuses to start on an empty database that is not in the data directory,
// and so has to be opened to be looked at, if the data directory has repositories.
func checkDatabase(ctx context.Context, o Options, st *store.Store) error {
	if o.Database == "" {
		return nil
	}
	known, err := st.RepositoryIDs(ctx)
	if err != nil || len(known) > 0 {
		return err
	}
	return refuseFolders(o.DataDir, "the PostgreSQL database has no repository", "bring the database back from its backup, or choose an empty data directory")
}

// refuseFolders returns KindPrecondition if the data directory has folders of
// repositories, which the database has not: state says what is the matter with it, next
// what to do.
func refuseFolders(dataDir, state, next string) error {
	folders, err := repo.Populated(dataDir)
	if err != nil {
		return fmt.Errorf("look at the repositories of the data directory: %w", err)
	}
	if len(folders) == 0 {
		return nil
	}
	return core.Errorf(core.KindPrecondition, "%s, but there are folders of %s in %s, as %s: %s", state, core.Count(len(folders), "repository"), dataDir, folders[0], next)
}
