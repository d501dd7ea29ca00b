package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
)

func newOrgCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "org",
		Short: "Manage organisations and the public keys that verify their tokens",
		Long: `Manage organisations and the public keys that verify their tokens. These
commands work on the data directory itself, whether the server runs or not; a
running server sees the change within a second.`,
		RunE: needsSubcommand,
	}
	key := &cobra.Command{Use: "key", Short: "Manage an organisation's public keys", RunE: needsSubcommand}
	key.AddCommand(newKeyAddCommand(), newKeyListCommand(), newKeyDisableCommand())
	cmd.AddCommand(newOrgAddCommand(), newOrgListCommand(), newOrgLimitsCommand(), newOrgDeleteCommand(), key)
	return cmd
}

// knownOrg returns an error with the next step if there is no such organisation.
func knownOrg(ctx context.Context, s core.OrgStore, name, next string) error {
	_, err := s.Org(ctx, name)
	if core.KindOf(err) == core.KindNotFound {
		return failf(next, "no organisation %q", name)
	}
	return err
}

func newOrgAddCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:     "add ORG",
		Short:   "Add an organisation",
		Example: "  headwater org add acme && headwater org key add acme --generate acme.pem",
		Args:    exactArgs("ORG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd.Context(), data, func(ctx context.Context, s core.Store) error {
				if !validOrgName(args[0]) {
					return usagef("use 1 to 63 lower-case letters, digits and dashes, not at the ends", "%q cannot name an organisation", args[0])
				}
				err := audited(ctx, s, args[0], "org.create", "", func(q core.Queries) error {
					return q.CreateOrg(ctx, core.Org{Name: args[0], CreatedAt: time.Now().UTC()})
				})
				if core.KindOf(err) == core.KindConflict {
					return failf("see: headwater org list", "the organisation %q exists already", args[0])
				}
				if err != nil {
					return err
				}
				return answer(cmd, orgView{Name: args[0]}, "Added %s. Give it a key: headwater org key add %s --generate %s.pem", args[0], args[0], args[0])
			})
		},
	}
	bindDataDir(cmd.Flags(), &data)
	return cmd
}

func newOrgListCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List organisations",
		Example: "  headwater org list",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withStore(cmd.Context(), data, func(ctx context.Context, s core.Store) error {
				orgs, err := s.Orgs(ctx)
				if err != nil {
					return err
				}
				list := listing[orgView]{header: "NAME\tACTIVE KEYS\tCREATED", none: "No organisations.", row: func(t io.Writer, o orgView) {
					created := o.CreatedAt.Time().Local().Format(time.RFC3339)
					if o.DeletingAt != nil {
						created += ", being deleted"
					}
					fmt.Fprintf(t, "%s\t%d\t%s\n", o.Name, o.ActiveKeys, created)
				}}
				return list.print(cmd, wantsJSON(cmd), func(each func(orgView) error) error {
					for _, o := range orgs {
						keys, err := s.Keys(ctx, o.Name)
						if err != nil {
							return err
						}
						view := orgView{Name: o.Name, ActiveKeys: activeKeys(keys), CreatedAt: new(core.Timestamp(o.CreatedAt))}
						if !o.DeletingAt.IsZero() {
							view.DeletingAt = new(core.Timestamp(o.DeletingAt))
						}
						if err := each(view); err != nil {
							return err
						}
					}
					return nil
				})
			})
		},
	}
	bindDataDir(cmd.Flags(), &data)
	return cmd
}

func newKeyAddCommand() *cobra.Command {
	var data, kid, generate string
	cmd := &cobra.Command{
		Use:   "add ORG [PUBLIC.pem]",
		Short: "Register a public key",
		Long: `Register a public key (PEM, SPKI). Its kind pins the algorithm of the tokens it
verifies: P-256 is ES256, RSA is RS256, Ed25519 is EdDSA. Several keys may be
active at once, so a key is rotated by adding the new one, signing with it, and
disabling the old one. With --generate a fresh ES256 pair is made and the
private half written to a file that only you can read.`,
		Example: `  openssl pkey -in private.pem -pubout -out public.pem
  headwater org key add acme public.pem

  headwater org key add acme --generate acme.pem`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usagef("see: headwater org key add --help", "give an organisation and at most one file")
			}
			if (len(args) == 2) == (generate != "") {
				return usagef("see: headwater org key add --help", "give a public key file or --generate FILE, one of them")
			}
			if core.ReservedKeyID(kid) {
				return usagef("give another --kid, or none", "the key id %q belongs to the keys with which the server issues tokens", kid)
			}
			return withStore(cmd.Context(), data, func(ctx context.Context, s core.Store) error {
				if err := knownOrg(ctx, s, args[0], "add it first: headwater org add "+args[0]); err != nil {
					return err
				}
				public, err := publicKey(args[1:], generate)
				if err != nil {
					return err
				}
				algorithm, spki, err := access.ParsePublicKey(public)
				if err != nil {
					return wrapf(err, "print the public half with: openssl pkey -in private.pem -pubout", "cannot use the key")
				}
				now := time.Now().UTC()
				k := core.Key{ID: core.NewID("key", now), Org: args[0], KeyID: kid, Algorithm: algorithm, PublicPEM: spki, CreatedAt: now}
				err = audited(ctx, s, k.Org, "key.add", k.ID, func(q core.Queries) error { return q.AddKey(ctx, k) })
				if err != nil {
					return err
				}
				return answer(cmd, viewOfKey(k, now), "Added %s (%s) to %s.", k.ID, k.Algorithm, k.Org)
			})
		},
	}
	bindDataDir(cmd.Flags(), &data)
	cmd.Flags().StringVar(&kid, "kid", "", "key id that tokens carry in their header, if they do")
	cmd.Flags().StringVar(&generate, "generate", "", "make a key pair and write the private key to this new file")
	return cmd
}

func newKeyListCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:     "list ORG",
		Aliases: []string{"ls"},
		Short:   "List an organisation's keys, oldest first, with those that the server signs with",
		Example: "  headwater org key list local",
		Args:    exactArgs("ORG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd.Context(), data, func(ctx context.Context, s core.Store) error {
				if err := knownOrg(ctx, s, args[0], "see: headwater org list"); err != nil {
					return err
				}
				keys, err := s.Keys(ctx, args[0])
				if err != nil {
					return err
				}
				now := time.Now()
				list := listing[core.Key]{header: "ID\tKID\tALGORITHM\tADDED\tSTATE", none: "No keys.", row: func(t io.Writer, k core.Key) {
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.KeyID, k.Algorithm, k.CreatedAt.Local().Format(time.RFC3339), keyState(k, now))
				}}
				if !wantsJSON(cmd) {
					return list.print(cmd, false, func(each func(core.Key) error) error { return eachOf(keys, each) })
				}
				encoder := json.NewEncoder(cmd.OutOrStdout())
				return eachOf(keys, func(k core.Key) error { return encoder.Encode(viewOfKey(k, now)) })
			})
		},
	}
	bindDataDir(cmd.Flags(), &data)
	return cmd
}

func newKeyDisableCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:     "disable ORG KEY-ID",
		Short:   "Stop accepting tokens signed with a key",
		Example: "  headwater org key disable acme key_01hzx...",
		Args:    exactArgs("ORG", "KEY-ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withStore(cmd.Context(), data, func(ctx context.Context, s core.Store) error {
				err := audited(ctx, s, args[0], "key.disable", args[1], func(q core.Queries) error {
					return q.DisableKey(ctx, args[0], args[1], time.Now().UTC())
				})
				if core.KindOf(err) == core.KindNotFound {
					return failf("see: headwater org key list "+args[0], "the organisation %q has no key %q", args[0], args[1])
				}
				if err != nil {
					return err
				}
				return answer(cmd, outcome{ID: args[1], Result: "disabled"}, "Disabled %s; its tokens are refused from now on.", args[1])
			})
		},
	}
	bindDataDir(cmd.Flags(), &data)
	return cmd
}

// orgView is an organisation in JSON.
type orgView struct {
	Name       string          `json:"name"`
	ActiveKeys int             `json:"active_keys"` // of its own
	CreatedAt  *core.Timestamp `json:"created_at,omitempty"`
	DeletingAt *core.Timestamp `json:"deleting_at,omitempty"` // since when it is being deleted
}

// activeKeys counts the keys of an organisation's own that open something.
func activeKeys(keys []core.Key) int {
	active := 0
	for _, k := range keys {
		if k.DisabledAt.IsZero() && !k.Issuer {
			active++
		}
	}
	return active
}

// keyView is a public key in JSON.
type keyView struct {
	ID        string         `json:"id"`
	KeyID     string         `json:"kid,omitempty"`
	Org       string         `json:"org"`
	Algorithm string         `json:"algorithm"`
	PublicPEM string         `json:"public_pem"`
	State     string         `json:"state"` // in words
	CreatedAt core.Timestamp `json:"created_at"`
}

func viewOfKey(k core.Key, now time.Time) keyView {
	return keyView{ID: k.ID, KeyID: k.KeyID, Org: k.Org, Algorithm: k.Algorithm, PublicPEM: k.PublicPEM, State: keyState(k, now), CreatedAt: core.Timestamp(k.CreatedAt)}
}

// eachOf calls each for the items until one fails.
func eachOf[T any](items []T, each func(T) error) error {
	for _, item := range items {
		if err := each(item); err != nil {
			return err
		}
	}
	return nil
}

// validOrgName accepts what can be a DNS label, because SDKs build host names
// from the name of an organisation.
func validOrgName(name string) bool {
	if len(name) < 1 || len(name) > 63 || name[0] == '-' || name[len(name)-1] == '-' {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// publicKey reads a public key file, or makes a pair and writes the private
// half to the file generate, which must not exist yet.
func publicKey(files []string, generate string) ([]byte, error) {
	if generate == "" {
		raw, err := os.ReadFile(files[0])
		if err != nil {
			return nil, wrapf(err, "give a PEM file with a public key", "read the key")
		}
		return raw, nil
	}
	private, public, err := access.GenerateES256()
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(generate, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, failf("choose another file, or register its public half instead", "%q exists already", generate)
	}
	if err != nil {
		return nil, err
	}
	_, err = f.Write(private)
	return public, errors.Join(err, f.Close())
}
