package token

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
)

const (
	// maxSubject bounds the claim "sub" of issued tokens, in bytes.
	maxSubject = 256
	// maxOperations bounds how many operations a token names. There are not so many.
	maxOperations = 256
)

// Request is a token to be issued.
type Request struct {
	By         access.Identity  // of the token whose holder asks: an organisation's own
	Actor      core.Actor       // the same, for the audit
	Repo       *core.Repository // nil: for calls about the whole organisation
	Operations []string         // that it is for
	Scopes     []access.Scope   // none: what the operations need
	Subject    string           // "": that of By
	Life       time.Duration    // 0: DefaultLife
	Refs       []access.RefOps  // the ref policy; that of By counts whatever this says
}

// Issued is a token and what is in it.
type Issued struct {
	Token      string // secret
	ID         string // claim "jti"
	Hash       string
	Key        core.Key
	Subject    string
	Scopes     []access.Scope
	Operations []string
	IssuedAt   time.Time
	ExpiresAt  time.Time
}

// Issue makes a token. KindPermission: the token of who asks is itself issued, or is not
// of the whole organisation, or the new one would open more than it; KindInvalid: the
// request cannot be meant.
func (s *Service) Issue(ctx context.Context, r Request) (Issued, error) {
	claims, err := s.claims(r)
	if err != nil {
		return Issued{}, err
	}
	now := s.o.Clock.Now()
	// Whole seconds, as they are in the token.
	claims.IssuedAt = now.Truncate(time.Second)
	claims.ExpiresAt = claims.IssuedAt.Add(r.life())
	claims.TokenID = core.NewID("tok", now)
	key, private, err := s.signer(ctx, r.By.Org, now)
	if err != nil {
		return Issued{}, err
	}
	claims.KeyID = key.KeyID
	text, err := access.Sign(private, claims)
	if err != nil {
		return Issued{}, err
	}
	// Before anybody has it: a token that is not in the audit does not exist.
	var repo core.Repository
	if r.Repo != nil {
		repo = *r.Repo
	}
	err = s.o.Store.Tx(ctx, func(q core.Queries) error { return audit(ctx, q, r.Actor, now, "token.issue", claims.TokenID, repo) })
	if err != nil {
		return Issued{}, err
	}
	return Issued{
		Token: text, ID: claims.TokenID, Hash: access.Hash(text), Key: key, Subject: claims.Subject, Scopes: claims.Scopes,
		Operations: claims.Operations, IssuedAt: claims.IssuedAt, ExpiresAt: claims.ExpiresAt,
	}, nil
}

func (r Request) life() time.Duration {
	if r.Life == 0 {
		return DefaultLife
	}
	return r.Life
}

// claims are those of the request, but for the times and the id.
func (s *Service) claims(r Request) (access.Claims, error) {
	switch {
	case r.By.Issued():
		return access.Claims{}, core.Errorf(core.KindPermission, "a token that the server issued issues no other; use one that is signed with a key of the organisation")
	case !r.By.OrgWide():
		return access.Claims{}, core.Errorf(core.KindPermission, "only a token of the whole organisation issues others")
	case r.Repo != nil && r.Repo.Org != r.By.Org:
		return access.Claims{}, core.Errorf(core.KindNotFound, "repository not found")
	case r.life() < time.Second || r.life() > access.MaxIssuedLife:
		return access.Claims{}, core.Errorf(core.KindInvalid, "a token is issued for a second at least and %s at most", access.MaxIssuedLife)
	}
	c := access.Claims{Issuer: r.By.Org, Subject: r.Subject, IssuedBy: r.By.KeyID, Repo: "org", Scopes: r.Scopes}
	if r.Repo != nil {
		// The id, not the name: a repository that is made later under the same name
		// is another one.
		c.Repo = r.Repo.ID
	}
	if c.Subject == "" {
		c.Subject = r.By.Subject
	}
	if err := checkText("subject", c.Subject, maxSubject); err != nil {
		return access.Claims{}, err
	}
	if c.IssuedBy == "" {
		return access.Claims{}, core.Errorf(core.KindPermission, "the token that asks is of another kind than those that are signed with a key of the organisation; it issues none")
	}
	var err error
	if c.Operations, err = s.operations(r, &c); err != nil {
		return access.Claims{}, err
	}
	for _, scope := range c.Scopes {
		if !slices.Contains(access.Scopes(), scope) {
			return access.Claims{}, core.Errorf(core.KindInvalid, "there is no scope %q", scope)
		}
		if !r.By.Can(scope) {
			return access.Claims{}, core.Errorf(core.KindPermission, "a token is issued with no scope that the token which asks lacks: %q", scope)
		}
	}
	c.Refs, err = refs(r)
	return c, err
}

// operations checks the names of the request and returns them sorted. If no scopes were
// given, the claims get those that the operations need.
func (s *Service) operations(r Request, c *access.Claims) ([]string, error) {
	if len(r.Operations) == 0 || len(r.Operations) > maxOperations {
		return nil, core.Errorf(core.KindInvalid, "name the operations that the token is for, at most %d", maxOperations)
	}
	names := slices.Clone(r.Operations)
	slices.Sort(names)
	names = slices.Compact(names)
	var needed []access.Scope
	for _, name := range names {
		op, ok := s.o.Operation(name, r.Repo == nil)
		switch {
		case !ok:
			return nil, core.Errorf(core.KindInvalid, "there is no operation %q; they have the names of the API document, and %s and %s", name, access.GitFetch, access.GitPush)
		case op.SignedOnly:
			return nil, core.Errorf(core.KindInvalid, "no token that the server issues can be for the operation %q", name)
		case op.Scope == "":
			continue
		}
		given := access.Identity{Scopes: c.Scopes}
		if len(c.Scopes) > 0 && !given.Can(op.Scope) {
			return nil, core.Errorf(core.KindInvalid, "the operation %q takes the scope %q, which is not among those of the token", name, op.Scope)
		}
		needed = append(needed, op.Scope)
	}
	if len(c.Scopes) == 0 {
		slices.Sort(needed)
		c.Scopes = slices.Compact(needed)
	}
	return names, nil
}

// refs returns the ref policy of the token.
func refs(r Request) ([]access.RefOps, error) {
	if !r.By.Policy.IsZero() {
		if len(r.Refs) > 0 {
			return nil, core.Errorf(core.KindPermission, "the token that asks has a ref policy, which is that of the new one too; leave out %q", "refs")
		}
		return r.By.Policy.Refs(), nil
	}
	if len(r.Refs) == 0 {
		return nil, nil
	}
	claim, err := json.Marshal(r.Refs)
	if err != nil {
		return nil, err
	}
	_, err = access.ParsePolicy(claim, nil)
	return r.Refs, err
}

// checkText refuses what terminals would obey, and what is too long to be kept.
func checkText(name, text string, most int) error {
	if len(text) > most {
		return core.Errorf(core.KindInvalid, "the field %q is longer than %d bytes", name, most)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) {
		return core.Errorf(core.KindInvalid, "the field %q holds characters that cannot be printed", name)
	}
	return nil
}
