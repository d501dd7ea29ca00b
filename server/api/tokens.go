package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/core/token"
	"github.com/headwater-git/headwater/providers"
)

// Tokens issues and revokes tokens. [*token.Service] implements it; see there for the
// errors.
type Tokens interface {
	Issue(ctx context.Context, r token.Request) (token.Issued, error)
	Rotate(ctx context.Context, actor core.Actor) (core.Key, error)
	Keys(ctx context.Context, org string) ([]core.Key, error)
	Revoke(ctx context.Context, r token.RevokeRequest) (core.Revocation, error)
	Revocations(ctx context.Context, org string, before int64, limit int) ([]core.Revocation, error)
}

var _ Tokens = (*token.Service)(nil)

// issueTokenBody is a token to be issued.
type issueTokenBody struct {
	Operations  []string        `json:"operations"`
	Repo        string          `json:"repo"`
	Scopes      []access.Scope  `json:"scopes"`
	Subject     string          `json:"subject"`
	ExpiresIn   int             `json:"expires_in"` // seconds
	RefPolicies []tokenRefsBody `json:"ref_policies"`
}

// tokenRefsBody is an entry of the claim "refs".
type tokenRefsBody struct {
	Pattern string      `json:"pattern"`
	Ops     []access.Op `json:"ops"`
}

// issuedToken is a token that is shown this one time.
type issuedToken struct {
	Token      string         `json:"token"`
	TokenID    string         `json:"jti"`
	TokenHash  string         `json:"token_hash"`
	KeyID      string         `json:"key_id"`
	Kid        string         `json:"kid"`
	Subject    string         `json:"subject"`
	Repo       string         `json:"repo,omitempty"`
	RepoID     string         `json:"repo_id,omitempty"`
	Scopes     []access.Scope `json:"scopes"`
	Operations []string       `json:"operations"`
	IssuedAt   core.Timestamp `json:"issued_at"`
	ExpiresAt  core.Timestamp `json:"expires_at"`
}

// revokeBody says which tokens are revoked: one of the first five.
type revokeBody struct {
	Token        providers.Secret `json:"token"`
	TokenID      string           `json:"jti"`
	TokenHash    string           `json:"token_hash"`
	Subject      string           `json:"subject"`
	Key          string           `json:"key"`
	IssuedBefore *core.Timestamp  `json:"issued_before"`
	ExpiresAt    *core.Timestamp  `json:"expires_at"`
	Reason       string           `json:"reason"`
}

// revocationView is a revocation in answers.
type revocationView struct {
	ID           string              `json:"id"`
	Kind         core.RevocationKind `json:"kind"`
	Value        string              `json:"value"`
	IssuedBefore *core.Timestamp     `json:"issued_before,omitempty"`
	ExpiresAt    *core.Timestamp     `json:"expires_at,omitempty"`
	CreatedAt    core.Timestamp      `json:"created_at"`
	RevokedBy    string              `json:"revoked_by"`
	Reason       string              `json:"reason,omitempty"`
}

// revocationList is a page of revocations, newest first.
type revocationList struct {
	Revocations []revocationView `json:"revocations"`
	pageFields
}

// keyView is a public key in answers.
type keyView struct {
	ID            string          `json:"id"`
	Kid           string          `json:"kid,omitempty"`
	Algorithm     string          `json:"algorithm"`
	PublicKey     string          `json:"public_key"`
	Issuer        bool            `json:"issuer"`
	CreatedAt     core.Timestamp  `json:"created_at"`
	DisabledAt    *core.Timestamp `json:"disabled_at,omitempty"`
	VerifiesUntil *core.Timestamp `json:"verifies_until,omitempty"`
}

// keyList is the keys of an organisation, oldest first.
type keyList struct {
	Keys []keyView `json:"keys"`
}

// tokens makes an operation of a function that needs [Tokens].
func tokens(serve func(s *server, c *call) error) func(s *server, c *call) error {
	return func(s *server, c *call) error {
		if s.Tokens == nil {
			return core.Errorf(core.KindUnsupported, "this server issues and revokes no tokens")
		}
		return serve(s, c)
	}
}

func (s *server) issueToken(c *call) error {
	var body issueTokenBody
	if err := c.body(&body); err != nil {
		return err
	}
	if body.ExpiresIn < 0 || body.ExpiresIn > int(access.MaxIssuedLife/time.Second) {
		return core.Errorf(core.KindInvalid, "the field \"expires_in\" is a number of seconds, at most a day")
	}
	r := token.Request{
		By: c.identity, Actor: c.actor(), Operations: body.Operations, Scopes: body.Scopes, Subject: body.Subject,
		Life: time.Duration(body.ExpiresIn) * time.Second,
	}
	for _, p := range body.RefPolicies {
		r.Refs = append(r.Refs, access.RefOps(p))
	}
	answer := issuedToken{}
	if !(access.Identity{Repo: body.Repo}).OrgWide() {
		repo, err := s.Lookup.Repository(c.ctx(), c.identity.Org, body.Repo)
		if err != nil {
			return err
		}
		c.repo, r.Repo = repo, &repo
		answer.Repo, answer.RepoID = repo.Name, repo.ID
	}
	issued, err := s.Tokens.Issue(c.ctx(), r)
	if err != nil {
		return err
	}
	c.audited.Store(true)
	answer.Token, answer.TokenID, answer.TokenHash = issued.Token, issued.ID, issued.Hash
	answer.KeyID, answer.Kid = issued.Key.ID, issued.Key.KeyID
	answer.Subject, answer.Scopes, answer.Operations = issued.Subject, orEmpty(issued.Scopes), issued.Operations
	answer.IssuedAt, answer.ExpiresAt = core.Timestamp(issued.IssuedAt), core.Timestamp(issued.ExpiresAt)
	c.w.Header().Set("Cache-Control", "no-store")
	return c.answer(http.StatusCreated, answer)
}

func (s *server) revokeTokens(c *call) error {
	var body revokeBody
	if err := c.body(&body); err != nil {
		return err
	}
	r, err := s.Tokens.Revoke(c.ctx(), token.RevokeRequest{
		Token: body.Token, TokenID: body.TokenID, Hash: body.TokenHash, Subject: body.Subject, Key: body.Key,
		IssuedBefore: deref(body.IssuedBefore).Time(), ExpiresAt: deref(body.ExpiresAt).Time(), Reason: body.Reason, Actor: c.actor(),
	})
	if err != nil {
		return err
	}
	c.audited.Store(true)
	return c.answer(http.StatusCreated, viewRevocation(r))
}

func (s *server) listRevocations(c *call) error {
	query := params{c.r.URL.Query()}
	page, err := query.page(revocationListing)
	if err != nil {
		return err
	}
	var before int64
	if page.before != "" {
		if before, err = strconv.ParseInt(page.before, 10, 64); err != nil || before <= 0 {
			return core.Errorf(core.KindInvalid, `the parameter "cursor" is not one that this listing gave`)
		}
	}
	all, err := s.Tokens.Revocations(c.ctx(), c.identity.Org, before, page.fetch())
	if err != nil {
		return err
	}
	all, rest := cut(page, all, func(r core.Revocation) string { return strconv.FormatInt(r.Seq, 10) })
	answer := revocationList{Revocations: []revocationView{}, pageFields: rest}
	for _, r := range all {
		answer.Revocations = append(answer.Revocations, viewRevocation(r))
	}
	return c.answer(http.StatusOK, answer)
}

func viewRevocation(r core.Revocation) revocationView {
	return revocationView{
		ID: r.ID, Kind: r.Kind, Value: r.Value, IssuedBefore: instant(r.IssuedBefore), ExpiresAt: instant(r.ExpiresAt),
		CreatedAt: core.Timestamp(r.CreatedAt), RevokedBy: r.RevokedBy, Reason: r.Reason,
	}
}

func (s *server) listKeys(c *call) error {
	keys, err := s.Tokens.Keys(c.ctx(), c.identity.Org)
	if err != nil {
		return err
	}
	answer := keyList{Keys: []keyView{}}
	for _, k := range keys {
		answer.Keys = append(answer.Keys, viewKey(k))
	}
	return c.answer(http.StatusOK, answer)
}

func (s *server) rotateIssuerKey(c *call) error {
	key, err := s.Tokens.Rotate(c.ctx(), c.actor())
	if err != nil {
		return err
	}
	c.audited.Store(true)
	return c.answer(http.StatusCreated, viewKey(key))
}

func viewKey(k core.Key) keyView {
	return keyView{
		ID: k.ID, Kid: k.KeyID, Algorithm: k.Algorithm, PublicKey: k.PublicPEM, Issuer: k.Issuer, CreatedAt: core.Timestamp(k.CreatedAt),
		DisabledAt: instant(k.DisabledAt), VerifiesUntil: instant(k.VerifiesUntil),
	}
}
