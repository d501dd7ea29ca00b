package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/store/seal"
)

func newCredentialResealCommand() *cobra.Command {
	var (
		data  string
		prune bool
	)
	cmd := &cobra.Command{
		Use:   "reseal",
		Short: "Encrypt all stored credentials with a new key",
		Long: `Add a new key to the keyset in DIR/keys/seal.json and encrypt every stored
credential with it. It works beside a running server, which goes on with what it
has read: restart it to make it use the new key. Old keys stay in the keyset
until --prune drops them, which needs the server to be stopped.`,
		Example: `  headwater credential reseal       # then restart the server
  headwater credential reseal --prune   # some time later, with the server stopped`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := openDataDir(data)
			if err != nil {
				return err
			}
			return reseal(cmd, dir, prune)
		},
	}
	bindDataDir(cmd.Flags(), &data)
	cmd.Flags().BoolVar(&prune, "prune", false, "drop the old keys instead of adding a new one")
	return cmd
}

// reseal rotates the keyset of a data directory, or prunes it.
func reseal(cmd *cobra.Command, dir dataDir, prune bool) (err error) {
	keys := dir.sealFile()
	if _, err := os.Stat(keys); err != nil {
		return wrapf(err, "rotate the keyset where it is kept, if not in the data directory", "find the keyset")
	}
	if prune {
		// A server that still seals with an old key would write what nobody
		// could open after the prune.
		unlock, err := lockOut(dir)
		if err != nil {
			return err
		}
		defer func() { _ = unlock() }()
	} else if err := seal.Rotate(keys); err != nil {
		return err
	}
	sealer, err := seal.LoadOrCreate(keys)
	if err != nil {
		return err
	}
	count := 0
	err = withSealedStore(cmd.Context(), dir, sealer, func(ctx context.Context, s core.Store) error {
		count, err = s.ResealCredentials(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if !prune {
		return answer(cmd, resealed{count, false}, "Encrypted %s with a new key. Restart the server to make it use that key.", core.Count(count, "secret"))
	}
	if err := seal.Prune(keys); err != nil {
		return err
	}
	return answer(cmd, resealed{count, true}, "Encrypted %s with the newest key and dropped the old ones.", core.Count(count, "secret"))
}

// resealed is what credential reseal did.
type resealed struct {
	Secrets int  `json:"secrets"`
	Pruned  bool `json:"pruned"` // the old keys are gone
}

// lockOut takes the data directory's lock, so that no server runs on it.
func lockOut(dir dataDir) (unlock func() error, err error) {
	f, err := os.OpenFile(dir.lockFile(), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, failf("stop it first", "a server is running on the data directory %q", string(dir))
		}
		return nil, err
	}
	return func() error {
		// Closing is not enough, see server.unlockDir.
		return errors.Join(unix.Flock(int(f.Fd()), unix.LOCK_UN), f.Close())
	}, nil
}
