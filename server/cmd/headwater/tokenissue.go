package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

func newTokenIssueCommand() *cobra.Command {
	var (
		o      connectOptions
		t      issuedToken
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "issue",
		Short: "Have the server issue a short token for some operations, and print it",
		Long: `Have the server issue a token that opens the named operations and nothing else, for
a day at most. It is for what should hold no more than it needs: a workspace, a
job, a page in a browser. It issues no other token, and ends early when it is
revoked by the id that --json shows.

Operations have the names of the API (headwater's docs/api.md, or
/api/openapi.json): listFiles, getFile, createCommit. Two are those of the Git
remotes: gitFetch and gitPush. The scopes are what the operations need, unless
--scope says otherwise.`,
		Example: `  # A job that clones one repository and reads its files, for ten minutes
  headwater token issue --repo team/app --operation gitFetch,listFiles,getFile --ttl 10m

  # A page that shows what the organisation has
  headwater token issue --repo org --operation listRepositories,listEvents --subject 'console of jo' --json`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			body, asking, err := t.request()
			if err != nil {
				return err
			}
			c, err := o.connect()
			if err != nil {
				return err
			}
			issued, err := c.IssueToken(cmd.Context(), body, c.asAny(orgClaim, asking))
			if err != nil {
				return c.explain(err, "issue the token")
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(issued)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), issued.Token)
			return err
		},
	}
	bindConnect(cmd, &o)
	f := cmd.Flags()
	f.StringVar(&t.repo, "repo", "", "repository the token opens; org for calls about the whole organisation")
	f.StringSliceVar(&t.operations, "operation", nil, "what the token is for, by the names of the API, and gitFetch, gitPush; may be repeated")
	f.StringSliceVar(&t.scopes, "scope", nil, "scopes of the token (default: what the operations need)")
	bindLife(f, &t.ttl, "ttl", time.Hour, "how long the token is valid, 1d at most")
	f.StringVar(&t.subject, "subject", "", "who it is for, as the audit and revocation name it (default: "+defaultSubject+")")
	f.StringArrayVar(&t.policies, "ref-policy", nil, "restriction of refs, PATTERN=OP[,OP...]; may be repeated")
	f.BoolVar(&asJSON, "json", false, "print JSON, with the id by which it is revoked")
	return cmd
}

// issuedToken are the flags of token issue that say what the token is to be.
type issuedToken struct {
	repo       string
	operations []string
	scopes     []string
	ttl        time.Duration
	subject    string
	policies   []string
}

// request returns what the server is asked for, and the scopes that the token must have
// with which it is asked.
func (t *issuedToken) request() (body rest.IssueTokenRequest, asking []access.Scope, err error) {
	switch {
	case t.repo == "":
		return body, nil, usagef("add --repo NAME, or --repo org for calls about the whole organisation", "no repository given")
	case len(t.operations) == 0:
		return body, nil, usagef("add --operation gitFetch, or names of operations of the API", "no operation given")
	case t.ttl < time.Second || t.ttl > access.MaxIssuedLife:
		return body, nil, usagef("use something like --ttl 1h", "a token is issued for a second at least and 24h at most, not %s", t.ttl)
	}
	body = rest.IssueTokenRequest{
		Repo: &t.repo, Operations: t.operations, Subject: optional(t.subject), ExpiresIn: new(int(t.ttl / time.Second)),
	}
	// Whose token asks must have what the new one is to have.
	asking = access.Scopes()
	if len(t.scopes) > 0 {
		parsed, err := parseScopes(t.scopes)
		if err != nil {
			return body, nil, err
		}
		asking = append(parsed, access.RepoWrite)
		body.Scopes = &t.scopes
	}
	refs, err := parsePolicies(t.policies)
	if err != nil {
		return body, nil, err
	}
	if len(refs) > 0 {
		body.RefPolicies = new([]rest.TokenRefsRequest)
		for _, r := range refs {
			ops := []string{}
			for _, op := range r.Ops {
				ops = append(ops, string(op))
			}
			*body.RefPolicies = append(*body.RefPolicies, rest.TokenRefsRequest{Pattern: &r.Pattern, Ops: &ops})
		}
	}
	return body, asking, nil
}

func newTokenRotateCommand() *cobra.Command {
	var o connectOptions
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Have the server sign the tokens that it issues with a new key",
		Long: `Have the server sign the tokens that it issues with a new key. It does so itself
every 30 days. Tokens of the old key are good until they end; to end them now,
revoke the key: headwater token revoke --key-id KEY-ID.`,
		Example: "  headwater token rotate",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := o.connect()
			if err != nil {
				return err
			}
			key, err := c.RotateIssuerKey(cmd.Context(), c.as(orgClaim, access.RepoWrite))
			if err != nil {
				return c.explain(err, "rotate the issuer key")
			}
			return answer(cmd, key, "Tokens are signed with %s from now on.", key.ID)
		},
	}
	bindConnect(cmd, &o)
	return cmd
}

func newTokenHashCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "hash",
		Short: "Print the hash of a token, by which the audit names it",
		Long: `Print the hash of a token, by which the audit names it and which revokes it. No
server is asked. It is the SHA-256 of what is signed: the first two parts of the
token and the dot between them.`,
		Example: "  headwater token hash --token-file ./token\n  headwater token hash --token-file - < token",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usagef("add --token-file FILE, or - for standard input", "no token given")
			}
			secret, err := readSecret(cmd, file)
			if err != nil {
				return err
			}
			hash := access.Hash(strings.TrimSpace(secret.Reveal()))
			value := struct {
				Hash string `json:"token_hash"`
			}{hash}
			return answer(cmd, value, "%s", hash)
		},
	}
	cmd.Flags().StringVar(&file, "token-file", "", "file with the token; - reads standard input")
	return cmd
}

// keyState says what becomes of the tokens of a key.
func keyState(k core.Key, now time.Time) string {
	date := func(t time.Time) string { return t.Local().Format(time.RFC3339) }
	switch {
	case !k.DisabledAt.IsZero():
		return "disabled " + date(k.DisabledAt)
	case !k.VerifiesUntil.IsZero() && now.After(k.VerifiesUntil):
		return "ended " + date(k.VerifiesUntil)
	case !k.VerifiesUntil.IsZero():
		return "rotated, verifies until " + date(k.VerifiesUntil)
	case k.Issuer:
		return "active, the server's own"
	}
	return "active"
}
