package access

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/headwater-git/headwater/core"
)

// kept is an identity in a form that outlives the process.
type kept struct {
	Org        string          `json:"org"`
	Subject    string          `json:"sub"`
	Scopes     []Scope         `json:"scopes"`
	Refs       json.RawMessage `json:"refs,omitempty"`
	IssuedAt   *time.Time      `json:"iat,omitempty"`
	ExpiresAt  time.Time       `json:"exp"`
	KeyID      string          `json:"key_id"`
	TokenID    string          `json:"jti,omitempty"`
	TokenHash  string          `json:"token_hash"`
	IssuedBy   string          `json:"issued_by,omitempty"`
	Issued     bool            `json:"issued,omitempty"`
	Operations []string        `json:"operations,omitempty"`
	External   bool            `json:"external,omitempty"`
}

// Keep writes the identity of an organisation's token, for a session that the token
// signed in: the token itself is not in it. [Restore] reads it. What a demand for
// freshness the token carries is left out.
func (id Identity) Keep() ([]byte, error) {
	refs, err := json.Marshal(id.Policy.Refs())
	if err != nil {
		return nil, err
	}
	k := kept{
		Org: id.Org, Subject: id.Subject, Scopes: id.Scopes, Refs: refs, ExpiresAt: id.ExpiresAt, KeyID: id.KeyID,
		TokenID: id.TokenID, TokenHash: id.TokenHash, IssuedBy: id.IssuedBy, Issued: id.issued, External: id.external,
		Operations: slices.Sorted(maps.Keys(id.operations)),
	}
	if !id.IssuedAt.IsZero() {
		k.IssuedAt = &id.IssuedAt
	}
	return json.Marshal(k)
}

// Restore reads what [Identity.Keep] wrote: an identity of the whole organisation. It is
// to be rechecked before it opens anything, see [Verifier.Recheck]. Errors: KindInternal.
func Restore(raw []byte) (Identity, error) {
	var k kept
	if err := json.Unmarshal(raw, &k); err != nil {
		return Identity{}, core.Errorf(core.KindInternal, "the kept identity of a session cannot be read")
	}
	policy, err := ParsePolicy(k.Refs, nil)
	if err != nil {
		return Identity{}, err
	}
	id := Identity{
		Org: k.Org, Subject: k.Subject, Repo: orgWide, Scopes: k.Scopes, Policy: policy, ExpiresAt: k.ExpiresAt, KeyID: k.KeyID,
		TokenID: k.TokenID, TokenHash: k.TokenHash, IssuedBy: k.IssuedBy, issued: k.Issued, external: k.External,
	}
	if k.IssuedAt != nil {
		id.IssuedAt = *k.IssuedAt
	}
	if k.Issued {
		id.operations = map[string]bool{}
		for _, name := range k.Operations {
			id.operations[name] = true
		}
	}
	return id, nil
}
