package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/server"
	"github.com/headwater-git/headwater/server/backup"

	"github.com/headwater-git/headwater/core"
)

// passphraseVariable holds the passphrase of the keys in a backup. It has no flag: a
// flag would show it to every user of the machine.
const passphraseVariable = envPrefix + "BACKUP_PASSPHRASE"

// passphrase returns the passphrase of the environment or of a file; "" is none.
func passphrase(cmd *cobra.Command, env lookupEnv, file string) (providers.Secret, error) {
	return secretInput{
		name: "passphrase of the keys", variable: passphraseVariable, flag: "--passphrase-file", file: file,
		next: "give a readable file with one line, or - for standard input",
	}.read(cmd, env)
}

func newBackupCommand(env lookupEnv) *cobra.Command {
	var (
		data, passphraseFile  string
		recipients            []string
		all, withKeys, asJSON bool
		keep                  int
	)
	cmd := &cobra.Command{
		Use:   "backup DIR",
		Short: "Copy the database and the repositories of a running server",
		Long: `Make a backup in a new folder below DIR, named by its time: the database, and the
repositories that cannot be fetched again, which are local ones, and synced ones with
kept tips, notes, ephemeral branches or held refs, or whose upstream is gone. The server
may run; writers wait for as long as it takes to note where all refs are. Run it as the
user of the server.

Files are shared with the data directory where DIR is on the same disk, which saves room
but does not outlive the disk, and else with the backup before.

Keys are copied only with --with-keys, and only encrypted (age): for a passphrase, or
for recipients. Without them keep keys/ of the data directory elsewhere: stored
credentials cannot be opened without it.`,
		Example: `  headwater backup /mnt/backup/headwater --data /var/lib/headwater

  # With the keys, for whoever knows a passphrase
  headwater backup /mnt/backup/headwater --with-keys --passphrase-file /etc/headwater/backup-passphrase

  # With the keys, for whoever has the identity of an age recipient
  headwater backup /mnt/backup/headwater --with-keys \
      --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p`,
		Args: exactArgs("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := openDataDir(data)
			if err != nil {
				return err
			}
			if keep < 1 {
				return usagef("keep at least the new one: --keep 1", "--keep %d keeps no backup", keep)
			}
			o := backup.Options{DataDir: string(dir), To: args[0], All: all, Keep: keep, Version: version(), Now: time.Now}
			if o.To, err = filepath.Abs(args[0]); err != nil {
				return err
			}
			if o.Keys, err = keysFor(cmd, env, withKeys, passphraseFile, recipients); err != nil {
				return err
			}
			lock, stopped, err := server.LockStopped(string(dir))
			if err != nil {
				return wrapf(err, "run it as the user of the server", "look whether a server runs on %s", dir)
			}
			o.Stopped = stopped
			if stopped {
				defer func() { _ = lock() }()
			}
			r, err := backup.Write(cmd.Context(), o)
			if err != nil {
				next := "backups of before are as they were; check that you are the user of the server, that DIR has room, and that the server is of this version"
				if kind := core.KindOf(err); kind == core.KindConflict || kind == core.KindInvalid {
					next = "do what the message says; backups of before are as they were"
				}
				return wrapf(err, next, "back up %s", dir)
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			}
			printBackup(cmd, r)
			return nil
		},
	}
	f := cmd.Flags()
	bindDataDir(f, &data)
	f.BoolVar(&all, "all", false, "also repositories that can be fetched again from their upstreams")
	f.IntVar(&keep, "keep", 7, "how many backups stay in DIR; older ones are removed once the new one is whole")
	f.BoolVar(&withKeys, "with-keys", false, "also keys/ and tls/, encrypted")
	f.StringVar(&passphraseFile, "passphrase-file", "", "file with the passphrase of the keys, - for standard input; or give it in "+passphraseVariable)
	f.StringArrayVar(&recipients, "recipient", nil, "age recipient who can open the keys; may be repeated")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// keysFor returns who can open the keys; nil: they are left out.
func keysFor(cmd *cobra.Command, env lookupEnv, withKeys bool, passphraseFile string, recipients []string) (*backup.Recipient, error) {
	if !withKeys {
		if passphraseFile != "" || len(recipients) > 0 {
			return nil, usagef("add --with-keys, or leave them out", "a passphrase or recipient is given, but no keys are asked for")
		}
		return nil, nil
	}
	secret, err := passphrase(cmd, env, passphraseFile)
	if err != nil {
		return nil, err
	}
	switch {
	case secret != "" && len(recipients) > 0:
		return nil, usagef("give one of them", "keys are encrypted for a passphrase or for recipients, not for both")
	case secret != "":
		return backup.ForPassphrase(secret)
	case len(recipients) > 0:
		to, err := backup.ForRecipients(strings.Join(recipients, "\n"))
		if err != nil {
			return nil, usagef("give an age recipient, as age1...; age-keygen makes one", "bad --recipient: %v", err)
		}
		return to, nil
	}
	return nil, usagef("add --passphrase-file FILE (- asks at the terminal), or --recipient age1...", "keys are never copied in clear")
}

// printBackup says what a backup has, and what it has not.
func printBackup(cmd *cobra.Command, r backup.Result) {
	out := cmd.OutOrStdout()
	n := len(r.Manifest.Repositories)
	fmt.Fprintf(out, "Backed up to %s: the database, and %d of %s", r.Dir, r.Manifest.Included(), core.Count(n, "repository"))
	if rest := n - r.Manifest.Included(); rest > 0 {
		fmt.Fprintf(out, "; not in it, since the upstream has it: %d (--all copies them, too)", rest)
	}
	if r.Manifest.LFS.Files > 0 {
		fmt.Fprintf(out, "; and %s of Git LFS", core.Count(r.Manifest.LFS.Files, "object"))
	}
	fmt.Fprintf(out, ".\nCopied %s; writers waited %s.\n", core.Count(r.Copied, "byte"), r.Held.Round(time.Millisecond))
	if r.Manifest.Keys {
		fmt.Fprintln(out, "The keys are in it, encrypted. Keep the passphrase or identity elsewhere.")
	} else {
		fmt.Fprintln(out, "The keys are not in it (--with-keys): keep keys/ of the data directory elsewhere.")
	}
	if len(r.Removed) > 0 {
		fmt.Fprintf(out, "Removed %s.\n", strings.Join(r.Removed, ", "))
	}
}
