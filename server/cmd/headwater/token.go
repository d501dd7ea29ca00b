package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
)

// defaultSubject is the "sub" claim of tokens made here, for the server's log.
const defaultSubject = "headwater-cli"

// signer makes tokens of one organisation.
type signer struct {
	org string
	key access.PrivateKey
}

// grant is what a token opens.
type grant struct {
	repo    string
	scopes  []access.Scope
	life    time.Duration
	subject string // "" is defaultSubject
	refs    []access.RefOps
}

// loadSigner reads the private key of an organisation.
func loadSigner(org, file string) (*signer, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, wrapf(err, "point --data at the server's data directory, or give --org and --key", "read the private key of %s", org)
	}
	key, err := access.ParsePrivateKey(raw)
	if err != nil {
		return nil, wrapf(err, "give a PEM private key (PKCS#8)", "read the private key %q", file)
	}
	return &signer{org: org, key: key}, nil
}

// token signs a grant, valid from now on.
func (s *signer) token(g grant) (string, error) {
	now := time.Now()
	subject := g.subject
	if subject == "" {
		subject = defaultSubject
	}
	return access.Sign(s.key, access.Claims{
		Issuer: s.org, Subject: subject, Repo: g.repo, Scopes: g.scopes,
		IssuedAt: now, ExpiresAt: now.Add(g.life), Refs: g.refs,
	})
}

func newTokenCommand() *cobra.Command {
	var (
		o        connectOptions
		repo     string
		scopes   []string
		ttl      time.Duration
		subject  string
		policies []string
	)
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Sign a token and print it; issue short ones, revoke them",
		Long: `Sign a JSON Web Token with an organisation's private key and print it alone.
No server is asked: the server knows the public key and verifies. The commands
below ask the server: for tokens that it issues itself, short ones for named
operations, and to revoke tokens of either kind.

Scopes: git:read clones and reads, git:write pushes as well, repo:write creates,
changes and deletes repositories and credentials, org:read lists repositories
(with --repo org).

A ref policy is PATTERN=OP[,OP...] and may be repeated; the first pattern that
matches a ref decides. Operations: no-push, no-force-push, verify-sig. A pattern
without operations allows everything, as in 'agents/*='.`,
		Example: `  # A day of pushing to one repository
  headwater token --repo team/app --scope git:write --ttl 24h

  # An agent that may move its own branches and nothing else
  headwater token --repo team/app --scope git:write --ref-policy 'agents/*=' --ref-policy '*=no-push'

  # For another organisation
  headwater token --org acme --key acme.pem --repo org --scope org:read`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			g := grant{repo: repo, life: ttl, subject: subject}
			var err error
			if g.scopes, err = parseScopes(scopes); err != nil {
				return err
			}
			if g.refs, err = parsePolicies(policies); err != nil {
				return err
			}
			if repo == "" {
				return usagef("add --repo NAME, or --repo org for calls about the whole organisation", "no repository given")
			}
			if repo != orgClaim {
				if err := core.ValidateRepositoryName(repo); err != nil {
					return wrapf(err, "name a repository with --repo, or use --repo org with --scope org:read", "bad --repo")
				}
			}
			if ttl <= 0 {
				return usagef("use something like --ttl 1h", "a token that lives %s opens nothing", ttl)
			}
			s, err := o.signer()
			if err != nil {
				return err
			}
			token, err := s.token(g)
			if err != nil {
				return err
			}
			value := struct {
				Token string `json:"token"`
			}{token}
			return answer(cmd, value, "%s", token)
		},
	}
	f := cmd.Flags()
	bindDataDir(f, &o.data)
	f.StringVar(&o.org, "org", localOrg, "organisation that signs")
	f.StringVar(&o.key, "key", "", "PEM private key of --org (default: DIR/keys/local.pem)")
	f.StringVar(&repo, "repo", "", "repository the token opens; org for calls about the whole organisation")
	f.StringSliceVar(&scopes, "scope", []string{string(access.GitRead)}, "what the token may do: git:read, git:write, repo:write, org:read")
	bindLife(f, &ttl, "ttl", time.Hour, "how long the token is valid: 30m, 24h, 7d")
	f.StringVar(&subject, "subject", defaultSubject, "who it is for; shown in the server's log")
	f.StringArrayVar(&policies, "ref-policy", nil, "restriction of refs, PATTERN=OP[,OP...]; may be repeated")
	cmd.AddCommand(newTokenIssueCommand(), newTokenRevokeCommand(), newTokenRevocationsCommand(), newTokenRotateCommand(), newTokenHashCommand())
	return cmd
}

// parseScopes checks the names of scopes.
func parseScopes(names []string) ([]access.Scope, error) {
	known := access.Scopes()
	next := "use one of:"
	for _, s := range known {
		next += " " + string(s)
	}
	out := make([]access.Scope, 0, len(names))
	for _, n := range names {
		s := access.Scope(strings.TrimSpace(n))
		if !slices.Contains(known, s) {
			return nil, usagef(next, "unknown scope %q", n)
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, usagef(next, "no scope given")
	}
	return out, nil
}

// parsePolicies reads PATTERN=OP[,OP...] entries and has them judged by the
// code that the server uses.
func parsePolicies(entries []string) ([]access.RefOps, error) {
	var out []access.RefOps
	for _, e := range entries {
		pattern, list, ok := strings.Cut(e, "=")
		if !ok || pattern == "" {
			return nil, usagef("write it like --ref-policy 'main=no-push'", "bad ref policy %q", e)
		}
		r := access.RefOps{Pattern: pattern}
		if list != "" {
			for _, op := range strings.Split(list, ",") {
				r.Ops = append(r.Ops, access.Op(strings.TrimSpace(op)))
			}
		}
		out = append(out, r)
	}
	if err := checkPolicies(out); err != nil {
		return nil, wrapf(err, "see: headwater token --help", "bad ref policy")
	}
	return out, nil
}

// checkPolicies runs the entries through the parser of the server, so that a
// token that the server would refuse is never printed.
func checkPolicies(refs []access.RefOps) error {
	if len(refs) == 0 {
		return nil
	}
	claim, err := json.Marshal(refs)
	if err != nil {
		return err
	}
	_, err = access.ParsePolicy(claim, nil)
	return err
}
