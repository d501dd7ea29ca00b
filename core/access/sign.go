package access

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/headwater-git/headwater/core"
)

// Claims is what a token says. The zero value of a field leaves its claim out.
type Claims struct {
	Issuer    string // organisation
	Subject   string // free text for logs
	Repo      string // public repository name; "org" or empty: every repository
	Scopes    []Scope
	IssuedAt  time.Time
	ExpiresAt time.Time
	Refs      []RefOps
	Ops       []Op   // older, repository-wide form of Refs
	KeyID     string // header "kid"
	// MaxStaleness and Freshness are how fresh a copy reads with the token must
	// see, see [core.ParseDemand].
	MaxStaleness string
	Freshness    core.FreshnessPolicy
	// TokenID is the claim "jti".
	TokenID string
	// Operations and IssuedBy are for tokens that the server issues, see [Identity].
	Operations []string
	IssuedBy   string
}

// MaxIssuedLife is how long a token that the server issues is valid at most.
const MaxIssuedLife = 24 * time.Hour

// RefOps is one entry of the claim "refs". No ops is an explicit "allow".
type RefOps struct {
	Pattern string
	Ops     []Op
}

// MarshalJSON writes [pattern, [op, ...]].
func (r RefOps) MarshalJSON() ([]byte, error) {
	ops := r.Ops
	if ops == nil {
		ops = []Op{}
	}
	return json.Marshal([]any{r.Pattern, ops})
}

// Sign makes a token. It checks nothing but that it can be signed: what a
// token means is decided by [Verifier.Verify] alone.
func Sign(key PrivateKey, c Claims) (string, error) {
	options := (&jose.SignerOptions{}).WithType("JWT")
	if c.KeyID != "" {
		options = options.WithHeader("kid", c.KeyID)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: key.algorithm, Key: key.signer}, options)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	body := struct {
		Issuer   string   `json:"iss,omitempty"`
		Subject  string   `json:"sub,omitempty"`
		Repo     string   `json:"repo,omitempty"`
		Scopes   []Scope  `json:"scopes,omitempty"`
		IssuedAt *int64   `json:"iat,omitempty"`
		Expires  *int64   `json:"exp,omitempty"`
		Refs     []RefOps `json:"refs,omitempty"`
		Ops      []Op     `json:"ops,omitempty"`

		MaxStaleness string               `json:"max_staleness,omitempty"`
		Freshness    core.FreshnessPolicy `json:"freshness,omitempty"`

		TokenID    string   `json:"jti,omitempty"`
		Operations []string `json:"operations,omitempty"`
		IssuedBy   string   `json:"issued_by,omitempty"`
	}{
		Issuer: c.Issuer, Subject: c.Subject, Repo: c.Repo, Scopes: c.Scopes, Refs: c.Refs, Ops: c.Ops,
		MaxStaleness: c.MaxStaleness, Freshness: c.Freshness,
		TokenID: c.TokenID, Operations: c.Operations, IssuedBy: c.IssuedBy,
	}
	if !c.IssuedAt.IsZero() {
		body.IssuedAt = new(c.IssuedAt.Unix())
	}
	if !c.ExpiresAt.IsZero() {
		body.Expires = new(c.ExpiresAt.Unix())
	}
	token, err := jwt.Signed(signer).Claims(body).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return token, nil
}
