package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/git"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/server/backup"
	"github.com/headwater-git/headwater/store"
)

func newRestoreCommand(env lookupEnv) *cobra.Command {
	var (
		data, passphraseFile, identityFile string
		asJSON                             bool
	)
	cmd := &cobra.Command{
		Use:   "restore DIR",
		Short: "Fill an empty data directory from a backup",
		Long: `Fill an empty data directory from a backup: DIR is one, or the folder of several, of
which the newest is taken. Nothing is overwritten; a restore that was cut short is run
again.

Afterwards events go on at a position that was never given, and readers with an older
one are sent a gap. Deliveries of webhooks are held until "headwater restore confirm".
What was granted or revoked after the backup is not known: the command prints the keys
whose tokens are good, see also "headwater restore review". Synced repositories that
the backup left out are mirrored anew when the server starts.`,
		Example: `  headwater restore /mnt/backup/headwater --data /var/lib/headwater --passphrase-file -
  headwater serve --data /var/lib/headwater
  headwater restore review --data /var/lib/headwater
  headwater restore confirm --data /var/lib/headwater`,
		Args: exactArgs("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			abs, err := filepath.Abs(data)
			if err != nil {
				return err
			}
			o := backup.RestoreOptions{From: args[0], DataDir: abs, Now: time.Now}
			if o.Keys, err = identityFrom(cmd, env, passphraseFile, identityFile); err != nil {
				return err
			}
			if o.Git, err = git.New(cmd.Context(), git.Options{}); err != nil {
				return wrapf(err, "install git", "git is needed")
			}
			r, err := backup.Restore(cmd.Context(), o)
			if err != nil {
				return wrapf(err, nextOfRestore(err), "restore %s", args[0])
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			}
			return printTyped(cmd, func(out io.Writer) error {
				printRestored(out, dataDir(abs), r)
				return nil
			})
		},
	}
	f := cmd.Flags()
	bindDataDir(f, &data)
	f.StringVar(&passphraseFile, "passphrase-file", "", "file with the passphrase of the keys, - for standard input; or give it in "+passphraseVariable)
	f.StringVar(&identityFile, "identity-file", "", "age identity that opens the keys, as age-keygen writes it")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(newRestoreReviewCommand(), newRestoreConfirmCommand())
	return cmd
}

// identityFrom returns what opens the keys; nil: they stay closed.
func identityFrom(cmd *cobra.Command, env lookupEnv, passphraseFile, identityFile string) (*backup.Identity, error) {
	secret, err := passphrase(cmd, env, passphraseFile)
	if err != nil {
		return nil, err
	}
	switch {
	case secret != "" && identityFile != "":
		return nil, usagef("give one of them", "the keys are opened by a passphrase or by an identity, not by both")
	case secret != "":
		return backup.WithPassphrase(secret)
	case identityFile == "":
		return nil, nil
	}
	text, err := readSecretBytes(cmd, identityFile)
	if err != nil {
		return nil, wrapf(err, "give a readable file, or - for standard input", "read the identity")
	}
	identity, err := backup.WithIdentities(providers.Secret(text))
	if err != nil {
		return nil, wrapf(err, "give the file that age-keygen wrote", "read the identity %q", identityFile)
	}
	return identity, nil
}

// printRestored says what is there again, and what to do now.
func printRestored(out io.Writer, dir dataDir, r backup.RestoreResult) {
	n := len(r.Manifest.Repositories)
	fmt.Fprintf(out, "Restored %s to %s: the database and %d of %s", r.Dir, dir, r.Manifest.Included(), core.Count(n, "repository"))
	if rest := n - r.Manifest.Included(); rest > 0 {
		fmt.Fprintf(out, "; mirrored anew from the upstream when the server starts: %d", rest)
	}
	fmt.Fprintln(out, ".")
	for _, d := range r.Damaged {
		fmt.Fprintf(out, "DAMAGED in the backup: %s of %s (%s): %s. It is restored as it is; an older backup may have it whole,\nand headwater doctor --deep --data %s says what cannot be read.\n", d.Name, d.Organisation, d.ID, d.What, core.ShellWord(string(dir)))
	}
	for _, oid := range r.DamagedLFS {
		fmt.Fprintf(out, "DAMAGED in the backup: the LFS object %s. It is left out: whoever has it pushes it again (git lfs push --all).\n", oid)
	}
	if len(r.Keys) == 0 {
		fmt.Fprintf(out, "No keys were restored: put keys/ of the old data directory into %s, above all seal.json,\nor stored credentials cannot be opened. ", dir)
		if r.Manifest.Keys {
			fmt.Fprint(out, "The backup has them: --passphrase-file or --identity-file opens them.")
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out)
	printReview(out, dir, r.Review)
}

// printReview prints what an operator must look at.
func printReview(out io.Writer, dir dataDir, r backup.Review) {
	date := func(t time.Time) string { return t.Local().Format(time.RFC3339) }
	fmt.Fprintf(out, "What happened after the backup of %s is not known here.\n", date(r.BackupAt.Time()))
	fmt.Fprintf(out, "\nTokens of these keys are good. Disable what was revoked since: headwater org key disable ORG KEY --data %s\n", core.ShellWord(string(dir)))
	table := newTable(out)
	fmt.Fprintln(table, "ORGANISATION\tKEY\tKID\tALGORITHM\tCREATED\tWHOSE")
	for _, k := range r.LiveKeys {
		whose := "the organisation's"
		if k.Issuer {
			whose = "the server's, of tokens that it issues"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", k.Organisation, k.ID, k.KeyID, k.Algorithm, date(k.CreatedAt.Time()), whose)
	}
	_ = table.Flush()
	if len(r.DisabledKeys) > 0 {
		fmt.Fprintln(out, "\nThese keys were revoked before the backup, and still are.")
		table = newTable(out)
		fmt.Fprintln(table, "ORGANISATION\tKEY\tKID\tDISABLED")
		for _, k := range r.DisabledKeys {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", k.Organisation, k.ID, k.KeyID, date(k.DisabledAt.Time()))
		}
		_ = table.Flush()
	}
	printRevocations(out, r)
	fmt.Fprintln(out, "\nCredentials of upstreams that were changed since are the old ones: set them again (headwater credential set REPO).")
	if r.ConfirmedAt != nil {
		fmt.Fprintf(out, "Deliveries go out since %s.\n", date(r.ConfirmedAt.Time()))
		return
	}
	fmt.Fprintf(out, "\nDeliveries to %s are held, %d wait; some may have been made before the loss.\n", core.Count(len(r.Webhooks), "webhook"), r.Held)
	for _, w := range r.Webhooks {
		fmt.Fprintf(out, "  %s  %s  %s\n", w.Organisation, w.ID, w.URL)
	}
	fmt.Fprintf(out, "Then let them go out: headwater restore confirm --data %s (with --drop, without those that wait)\n", core.ShellWord(string(dir)))
}

// printRevocations prints which tokens are refused. What was revoked after the backup is
// good again.
func printRevocations(out io.Writer, r backup.Review) {
	const most = 20
	fmt.Fprintln(out, "\nTokens that were revoked after the backup are good again: revoke them anew (headwater token revoke).")
	if len(r.Revocations) == 0 {
		fmt.Fprintln(out, "The backup has no revocations.")
		return
	}
	fmt.Fprintln(out, "These were revoked before, and still are.")
	table := newTable(out)
	fmt.Fprintln(table, "ORGANISATION\tKIND\tVALUE\tREVOKED")
	for _, one := range r.Revocations[:min(most, len(r.Revocations))] {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", one.Organisation, one.Kind, printable(one.Value), one.CreatedAt.Time().Local().Format(time.RFC3339))
	}
	_ = table.Flush()
	if len(r.Revocations) > most {
		fmt.Fprintln(out, "and more: headwater restore review --json")
	}
}

// withRestored runs f on the database of a data directory.
func withRestored(ctx context.Context, data string, f func(ctx context.Context, dir dataDir, s *store.Store) error) (err error) {
	dir, err := openDataDir(data)
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, dir.database(), store.Options{Sealer: noSecrets{}})
	if err != nil {
		return wrapf(err, "check that you may read and write it", "open the database of %q", string(dir))
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return f(ctx, dir, s)
}

func newRestoreReviewCommand() *cobra.Command {
	var (
		data   string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:     "review",
		Short:   "Show what to look at after a restore",
		Example: "  headwater restore review --data /var/lib/headwater",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRestored(cmd.Context(), data, func(ctx context.Context, dir dataDir, s *store.Store) error {
				r, err := backup.ReviewOf(ctx, s)
				if err != nil {
					return wrapf(err, "it is for after a restore: headwater restore --help", "review %s", dir)
				}
				if asJSON {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
				}
				return printTyped(cmd, func(out io.Writer) error {
					printReview(out, dir, r)
					return nil
				})
			})
		},
	}
	bindDataDir(cmd.Flags(), &data)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newRestoreConfirmCommand() *cobra.Command {
	var (
		data string
		drop bool
	)
	cmd := &cobra.Command{
		Use:   "confirm",
		Short: "Let deliveries go out after a restore",
		Long: `Let deliveries of webhooks go out that are held since a restore. Those that wait may
have been made before the loss; with --drop they are cancelled, and only what happens
from now on goes out. A running server notices within a quarter of a minute.`,
		Example: "  headwater restore confirm --data /var/lib/headwater",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRestored(cmd.Context(), data, func(ctx context.Context, dir dataDir, s *store.Store) error {
				dropped, err := s.ConfirmRestore(ctx, time.Now().UTC(), drop)
				if core.KindOf(err) == core.KindPrecondition {
					return wrapf(err, "see: headwater restore review", "confirm the restore of %s", dir)
				}
				if err != nil {
					return err
				}
				cancelled := ""
				if drop {
					cancelled = "Cancelled " + core.Count(dropped, "delivery") + ". "
				}
				value := struct {
					Cancelled int `json:"cancelled_deliveries"`
				}{dropped}
				return answer(cmd, value, "%sDeliveries go out again.", cancelled)
			})
		},
	}
	bindDataDir(cmd.Flags(), &data)
	cmd.Flags().BoolVar(&drop, "drop", false, "cancel the deliveries that wait")
	return cmd
}

// nextOfRestore says what to do about a restore that failed.
func nextOfRestore(err error) string {
	switch core.KindOf(err) {
	case core.KindConflict, core.KindPrecondition:
		return "do what the message says; nothing was changed"
	case core.KindPermission:
		return "give the passphrase or the identity that the backup was made with; nothing was changed"
	}
	return "no server starts on the directory before it is restored; mend that, then run the command again"
}
