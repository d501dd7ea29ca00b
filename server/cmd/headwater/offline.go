package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/server/database"
	"github.com/headwater-git/headwater/store"
)

// withStore runs f on the database of a data directory, beside a running
// server or without one. Secrets stay sealed.
func withStore(ctx context.Context, data string, f func(context.Context, core.Store) error) error {
	dir, err := openDataDir(data)
	if err != nil {
		return err
	}
	return withSealedStore(ctx, dir, noSecrets{}, f)
}

// openDataDir returns the data directory, in which a server must have been
// started before.
func openDataDir(data string) (dataDir, error) {
	abs, err := filepath.Abs(data)
	if err != nil {
		return "", err
	}
	if dir := dataDir(abs); dir.exists() {
		return dir, nil
	}
	return "", failf("start the server on it once: headwater serve --data "+core.ShellWord(data), "%q is not a data directory", data)
}

// withSealedStore is withStore for what must open and seal secrets.
func withSealedStore(ctx context.Context, dir dataDir, sealer store.Sealer, f func(context.Context, core.Store) error) (err error) {
	s, err := database.Place{DataDir: string(dir), DSN: providers.Secret(os.Getenv(database.Variable))}.Open(ctx, store.Options{Sealer: sealer})
	if err != nil {
		return wrapf(err, "check that you may read and write it", "open the database of %q", string(dir))
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return f(ctx, s)
}

// noSecrets is the sealer of commands that have no business with secrets.
type noSecrets struct{}

var _ store.Sealer = noSecrets{}

var errNoSecrets = errors.New("this command neither reads nor writes secrets")

// Seal fails.
func (noSecrets) Seal(_, _ []byte) ([]byte, error) { return nil, errNoSecrets }

// Open fails.
func (noSecrets) Open(_, _ []byte) ([]byte, error) { return nil, errNoSecrets }
