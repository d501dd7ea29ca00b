package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

func newTokenRevokeCommand() *cobra.Command {
	var (
		o                                                        connectOptions
		file, jti, hash, subject, keyID, before, expires, reason string
		asJSON                                                   bool
	)
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "Refuse tokens from now on, although they verify",
		Long: `Refuse tokens of the organisation from now on, its own or issued ones. Name one
token by itself, by its id or by its hash; all of a subject that were issued until
now; or all of a key, which is disabled, with what was issued on its authority.

They are refused from the answer on. Event streams end within a second; clones and
pushes that run already finish. A revocation cannot be taken back: issue another
token.

The hash is what "headwater audit --json" shows as token_hash. A token given by
itself is forgotten when it would have ended; of others only --expires knows that.`,
		Example: `  # A token that leaked, from a file
  headwater token revoke --token-file ./leaked --reason 'printed in a CI log'

  # One that the audit shows
  headwater token revoke --hash 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

  # Everything that jo has so far
  headwater token revoke --subject jo@example.com --reason 'lost a laptop'

  # Everything of a key
  headwater token revoke --key-id key_01hzx...`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			body := rest.RevokeRequest{
				Jti: optional(jti), TokenHash: optional(strings.ToLower(hash)), Subject: optional(subject), Key: optional(keyID), Reason: optional(reason),
			}
			given := 0
			for _, one := range []string{file, jti, hash, subject, keyID} {
				if one != "" {
					given++
				}
			}
			if given != 1 {
				return usagef("see: headwater token revoke --help", "give one of --token-file, --jti, --hash, --subject and --key-id")
			}
			var err error
			if body.IssuedBefore, err = timeFlag("issued-before", before); err != nil {
				return err
			}
			if body.ExpiresAt, err = timeFlag("expires", expires); err != nil {
				return err
			}
			if file != "" {
				secret, err := readSecret(cmd, file)
				if err != nil {
					return err
				}
				body.Token = new(strings.TrimSpace(secret.Reveal()))
			}
			c, err := o.connect()
			if err != nil {
				return err
			}
			r, err := c.RevokeTokens(cmd.Context(), body, c.as(orgClaim, access.RepoWrite))
			if err != nil {
				return c.explain(err, "revoke the tokens")
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Revoked %s.\n", whatRevoked(r))
			return err
		},
	}
	bindConnect(cmd, &o)
	f := cmd.Flags()
	f.StringVar(&file, "token-file", "", "file with the token; - reads standard input")
	f.StringVar(&jti, "jti", "", "id of the token, its claim jti")
	f.StringVar(&hash, "hash", "", "hash of the token, as the audit shows it")
	f.StringVar(&subject, "subject", "", "all tokens of this subject that were issued until now")
	f.StringVar(&keyID, "key-id", "", "all tokens of this key, by its id or kid; it is disabled")
	f.StringVar(&before, "issued-before", "", "with --subject: only tokens issued until this time, as 2026-11-30T12:00:00Z")
	f.StringVar(&expires, "expires", "", "when the last of the tokens ends by itself, as 2026-11-30T12:00:00Z (default: remembered for ever)")
	f.StringVar(&reason, "reason", "", "why, for people")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// timeFlag reads the time of a flag; nil if it was not given.
func timeFlag(name, text string) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, usagef("write it like 2026-11-30T12:00:00Z", "--%s is not a time: %q", name, text)
	}
	return &at, nil
}

// whatRevoked says which tokens a revocation is about.
func whatRevoked(r rest.Revocation) string {
	switch r.Kind {
	case "jti":
		return "the token " + printable(r.Value)
	case "hash":
		return "the token with the hash " + r.Value
	case "subject":
		text := "tokens of " + printable(r.Value)
		if r.IssuedBefore != nil {
			text += " issued until " + r.IssuedBefore.Local().Format(time.RFC3339)
		}
		return text
	case "key":
		return "tokens of the key " + r.Value
	}
	return printable(r.Kind + " " + r.Value)
}

func newTokenRevocationsCommand() *cobra.Command {
	var (
		o      connectOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "revocations",
		Short: "List what is revoked, newest first",
		Long: `List what is revoked in the organisation, newest first. What has ended by itself is
left out some time after; the audit keeps it: headwater audit --action token.revoke.`,
		Example: "  headwater token revocations",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			list := listing[rest.Revocation]{
				header: "WHEN\tBY\tWHAT\tENDS\tREASON", none: "Nothing is revoked.",
				row: func(table io.Writer, r rest.Revocation) {
					ends := "never"
					if r.ExpiresAt != nil {
						ends = r.ExpiresAt.Local().Format(time.DateTime)
					}
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", r.CreatedAt.Local().Format(time.DateTime), printable(r.RevokedBy), whatRevoked(r), ends, printable(r.Reason))
				},
			}
			err = list.print(cmd, asJSON, func(each func(rest.Revocation) error) error { return c.revocations(cmd.Context(), each) })
			return c.explain(err, "list revocations")
		},
	}
	bindConnect(cmd, &o)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}
