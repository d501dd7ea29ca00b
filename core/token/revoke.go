package token

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	"github.com/headwater-git/headwater/providers"
)

const (
	// maxValue bounds what is revoked by name, in bytes.
	maxValue = 1024
	// maxReason bounds the words of people, in bytes.
	maxReason = 256
	// ahead is how far in the future the time of a subject may lie: as far as clocks
	// of signers may be off, so that tokens of one that is fast can be meant too.
	ahead = time.Minute
	// maxUnixTime is the end of the year 9999.
	maxUnixTime = 253402300799
)

// RevokeRequest says which tokens are to be refused: exactly one of the first five.
type RevokeRequest struct {
	Token   providers.Secret // the token itself
	TokenID string           // claim "jti"
	Hash    string           // see [access.Hash]
	Subject string           // claim "sub"
	Key     string           // id or header "kid" of a key, which is disabled

	IssuedBefore time.Time // of a subject; zero: now
	ExpiresAt    time.Time // when the last of the tokens ends; zero: that of Token, else never
	Reason       string
	Actor        core.Actor
}

// Revoke refuses tokens from now on. KindInvalid: the request cannot be meant;
// KindNotFound: there is no such key.
func (s *Service) Revoke(ctx context.Context, r RevokeRequest) (core.Revocation, error) {
	now := s.o.Clock.Now()
	row, err := r.row(now)
	if err != nil {
		return core.Revocation{}, err
	}
	err = s.o.Store.Tx(ctx, func(q core.Queries) error {
		if row.Kind == core.RevokedKey {
			if row.Value, err = disableKey(ctx, q, row.Org, row.Value, now); err != nil {
				return err
			}
		}
		if row.Seq, err = q.AddRevocation(ctx, row); err != nil {
			return err
		}
		return audit(ctx, q, r.Actor, now, "token.revoke", string(row.Kind)+":"+row.Value, core.Repository{})
	})
	if err != nil {
		return core.Revocation{}, err
	}
	s.o.Changed()
	return row, nil
}

// disableKey disables the key of an id or "kid", and returns its id.
func disableKey(ctx context.Context, q core.Queries, org, name string, now time.Time) (string, error) {
	keys, err := q.Keys(ctx, org)
	if err != nil {
		return "", err
	}
	var found []string
	for _, k := range keys {
		if k.ID == name {
			found = []string{k.ID}
			break
		}
		if k.KeyID == name && k.DisabledAt.IsZero() {
			found = append(found, k.ID)
		}
	}
	switch len(found) {
	case 0:
		return "", core.Errorf(core.KindNotFound, "the organisation has no active key %q", name)
	case 1:
		return found[0], q.DisableKey(ctx, org, found[0], now)
	}
	return "", core.Errorf(core.KindInvalid, "the key id %q is that of %s; name one by its own id: %s", name, core.Count(len(found), "key"), strings.Join(found, ", "))
}

// row returns the revocation that is asked for.
func (r RevokeRequest) row(now time.Time) (core.Revocation, error) {
	row := core.Revocation{
		ID: core.NewID("rev", now), Org: r.Actor.Org, CreatedAt: now, RevokedBy: r.Actor.Subject, Reason: r.Reason, ExpiresAt: r.ExpiresAt,
	}
	given := 0
	for _, one := range []struct {
		kind  core.RevocationKind
		value string
	}{
		{core.RevokedToken, r.TokenID},
		{core.RevokedHash, strings.ToLower(r.Hash)},
		{core.RevokedHash, hashOf(r.Token)},
		{core.RevokedSubject, r.Subject},
		{core.RevokedKey, r.Key},
	} {
		if one.value != "" {
			row.Kind, row.Value = one.kind, one.value
			given++
		}
	}
	switch {
	case given != 1:
		return row, core.Errorf(core.KindInvalid, `give one of "token", "jti", "token_hash", "subject" and "key"`)
	case row.Kind == core.RevokedHash && !access.ValidHash(row.Value):
		return row, core.Errorf(core.KindInvalid, "a hash of a token has 64 hexadecimal digits; the audit shows it as token_hash")
	case row.Kind != core.RevokedSubject && !r.IssuedBefore.IsZero():
		return row, core.Errorf(core.KindInvalid, `"issued_before" is for subjects`)
	case row.Kind == core.RevokedKey && !r.ExpiresAt.IsZero():
		return row, core.Errorf(core.KindInvalid, "a key is revoked for ever; leave out %q", "expires_at")
	case !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(now):
		return row, core.Errorf(core.KindInvalid, `"expires_at" is when the last of the tokens ends, and lies in the past`)
	case r.IssuedBefore.After(now.Add(ahead)):
		return row, core.Errorf(core.KindInvalid, `"issued_before" lies in the future; what is issued from now on is refused by disabling the key`)
	}
	if row.Kind == core.RevokedSubject {
		row.IssuedBefore = r.IssuedBefore
		if row.IssuedBefore.IsZero() {
			row.IssuedBefore = now
		}
	}
	if r.Token != "" {
		end, err := endOf(r.Token, row.Org)
		if err != nil {
			return row, err
		}
		if row.ExpiresAt.IsZero() {
			row.ExpiresAt = end
		}
	}
	if err := checkText(string(row.Kind), row.Value, maxValue); err != nil {
		return row, err
	}
	return row, checkText("reason", row.Reason, maxReason)
}

func hashOf(token providers.Secret) string {
	if token == "" {
		return ""
	}
	return access.Hash(token.Reveal())
}

// endOf returns the end of a token, zero if it does not say. It is believed without the
// signature, because the hash is of these very words: they are true of each token that
// the revocation is about.
func endOf(token providers.Secret, org string) (time.Time, error) {
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return time.Time{}, core.Errorf(core.KindInvalid, "the token is not a JSON Web Token; revoke it by the hash that the audit shows")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	// By exact names, as the verifier reads them.
	var claims map[string]json.RawMessage
	if err != nil || json.Unmarshal(raw, &claims) != nil {
		return time.Time{}, core.Errorf(core.KindInvalid, "the token is malformed")
	}
	var issuer string
	var expires float64
	_ = json.Unmarshal(claims["iss"], &issuer)  // what is not a text names nobody
	_ = json.Unmarshal(claims["exp"], &expires) // what is not a number is no end
	switch {
	case issuer != org:
		return time.Time{}, core.Errorf(core.KindInvalid, "the token is of another organisation")
	case expires <= 0 || expires > maxUnixTime:
		return time.Time{}, nil
	}
	return time.Unix(int64(expires)+1, 0).UTC(), nil
}
