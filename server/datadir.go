package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/durable"
	"github.com/headwater-git/headwater/core/repo"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/server/database"
	"github.com/headwater-git/headwater/store"
)

// FirstOrg is the organisation that the first start makes.
const FirstOrg = "local"

// openDataDir makes what is missing of the data directory and locks it. A folder in
// which no server ever was and in which something else lies is refused: a start clears
// its tmp, and whoever wrote --data ~ did not mean that.
func openDataDir(dir string) (*os.File, error) {
	if err := checkForeign(dir); err != nil {
		return nil, err
	}
	for _, d := range []string{"", "keys", "run"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, fmt.Errorf("make the data directory: %w", err)
		}
	}
	return lockDir(dir)
}

// checkForeign refuses a folder that is not empty, has never been a data directory and
// has what does not belong into one. What an operator puts there before the first start
// may be there, and so may hidden files and what file systems make in their roots.
func checkForeign(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, "run", "lock")); err == nil || database.Exists(dir) {
		return nil
	}
	// A copy of one need not have run/, which is in no backup.
	if populated, err := repo.Populated(dir); err == nil && len(populated) > 0 {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look into the data directory: %w", err)
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasPrefix(name, "."), strings.HasPrefix(name, "headwater"):
		case slices.Contains([]string{"keys", "run", "tls", "acme", "repos", "lfs", "quarantine", "providers.hcl", "lost+found"}, name):
		default:
			return fmt.Errorf("%s is not empty and has never been a data directory: %q lies in it; choose a new or an empty folder", dir, name)
		}
	}
	return nil
}

// lockDir takes the data directory for this server. The lock goes with the
// process, however that ends.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "run", "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another server is using the data directory %s; stop it or choose another directory", dir)
		}
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	return f, nil
}

// LockStopped takes the lock of a data directory on which no server runs, for a command
// that works on it; ok is false if one runs. Unlock gives it back.
func LockStopped(dataDir string) (unlock func() error, ok bool, err error) {
	f, err := os.OpenFile(filepath.Join(dataDir, "run", "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, false, f.Close()
	}
	if err != nil {
		return nil, false, errors.Join(err, f.Close())
	}
	return func() error { return unlockDir(f) }, true, nil
}

// Runs reports whether a server runs on a data directory, or a command that stands for
// one. It makes nothing, and keeps out nobody but a server that starts in this moment.
func Runs(dataDir string) (bool, error) {
	f, err := os.Open(filepath.Join(dataDir, "run", "lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// Shared: two that look do not take each other for a server.
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, f.Close()
	}
	if err != nil {
		return false, errors.Join(err, f.Close())
	}
	return false, unlockDir(f)
}

// unlockDir gives the lock back. Closing the file alone would leave it to a child
// process that is just being started, which has a copy of the file until its
// own program runs, see flock(2).
func unlockDir(f *os.File) error {
	return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
}

// Prepare opens the database of a data directory on which no server runs, and makes
// what is missing: folders, sealing key, database, first organisation. Unlike [New] it
// does not refuse what looks like a loss: it is for the command that mends one. The
// caller closes the store and gives the lock back. sealKey is that of [Options].
func Prepare(ctx context.Context, dataDir string, sealKey providers.Secret) (_ *store.Store, unlock func() error, err error) {
	lock, err := openDataDir(dataDir)
	if err != nil {
		return nil, nil, err
	}
	o, err := Options{DataDir: dataDir, SealKey: sealKey}.withDefaults()
	if err == nil {
		var st *store.Store
		if st, err = openDatabase(ctx, o, nil); err == nil {
			return st, func() error { return unlockDir(lock) }, nil
		}
	}
	return nil, nil, errors.Join(err, unlockDir(lock))
}

// firstOrg makes the organisation "local" with an ES256 key pair in an empty
// store. The private key goes to keys/local.pem before the public one is
// stored, so that a crash in between leaves a key that the next start takes up.
func firstOrg(ctx context.Context, st core.Store, o Options) error {
	orgs, err := st.Orgs(ctx)
	if err != nil || len(orgs) > 0 {
		return err
	}
	path := filepath.Join(o.DataDir, "keys", FirstOrg+".pem")
	public, err := publicKey(path)
	if err != nil {
		return err
	}
	now := o.Clock.Now()
	return st.Tx(ctx, func(q core.Queries) error {
		if err := q.CreateOrg(ctx, core.Org{Name: FirstOrg, CreatedAt: now}); err != nil {
			return err
		}
		key := core.Key{ID: core.NewID("key", now), Org: FirstOrg, Algorithm: "ES256", PublicPEM: public, CreatedAt: now}
		if err := q.AddKey(ctx, key); err != nil {
			return err
		}
		return q.AddAudit(ctx, core.AuditEntry{
			ID: core.NewID("aud", now), Org: FirstOrg, At: now, Actor: core.Actor{Subject: "server", Org: FirstOrg},
			Action: "org.create", Target: key.ID, Outcome: core.OutcomeOK,
		})
	})
}

// publicKey returns the public half of the key file, which it makes if needed.
func publicKey(path string) (string, error) {
	pem, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		private, public, err := access.GenerateES256()
		if err != nil {
			return "", err
		}
		return string(public), durable.ReplaceFile(path, private, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	key, err := access.ParsePrivateKey(pem)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	if key.Algorithm() != "ES256" {
		return "", fmt.Errorf("%s holds no ES256 key; move it away, and the next start makes a new one", path)
	}
	spki, err := key.PublicPEM()
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return string(spki), nil
}
