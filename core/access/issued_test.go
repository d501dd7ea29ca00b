package access

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// addIssuer adds an issuer key of the server for an organisation.
func (s *setup) addIssuer(t *testing.T, org string) (PrivateKey, core.Key) {
	t.Helper()
	key := s.addKey(t, org, newECKey(t))
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	stored := &s.table.keys[org][len(s.table.keys[org])-1]
	stored.Issuer, stored.KeyID = true, core.IssuerKeyID(stored.ID)
	return key, *stored
}

// issuedClaims are those of a good issued token, as a map that tests spoil.
func (s *setup) issuedClaims() map[string]any {
	return map[string]any{
		"iss": "acme", "sub": "console", "repo": "team/app", "scopes": []string{"git:read"}, "iat": start.Unix(), "exp": start.Add(time.Hour).Unix(),
		"jti": "tok_1", "operations": []string{"listFiles", GitFetch}, "issued_by": s.table.keys["acme"][0].ID,
	}
}

// signRaw signs any payload with any "kid".
func signRaw(t *testing.T, key PrivateKey, kid string, payload any) string {
	t.Helper()
	options := (&jose.SignerOptions{}).WithType("JWT")
	if kid != "" {
		options = options.WithHeader("kid", kid)
	}
	return signWith(t, key, options, payload)
}

// signWith signs any payload with any header.
func signWith(t *testing.T, key PrivateKey, options *jose.SignerOptions, payload any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: key.algorithm, Key: key.signer}, options)
	require.NoError(t, err)
	raw, err := json.Marshal(payload)
	require.NoError(t, err)
	object, err := signer.Sign(raw)
	require.NoError(t, err)
	token, err := object.CompactSerialize()
	require.NoError(t, err)
	return token
}

func TestVerifier_Verify_issued(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	issuer, key := s.addIssuer(t, "acme")
	token := signRaw(t, issuer, key.KeyID, s.issuedClaims())
	id, err := s.Verify(t.Context(), token)
	require.NoError(t, err)
	require.True(t, id.Issued())
	require.Equal(t, key.ID, id.KeyID)
	require.Equal(t, s.table.keys["acme"][0].ID, id.IssuedBy)
	require.Equal(t, "tok_1", id.TokenID)
	require.Equal(t, Hash(token), id.TokenHash)
	for name, want := range map[string]bool{"listFiles": true, GitFetch: true, GitPush: false, "": false, "detachUpstream": false, "listfiles": false} {
		require.Equal(t, want, id.Allows(name), name)
	}

	// What customers sign is for everything, whatever it says.
	own := s.issuedClaims()
	own["operations"], own["jti"] = "nothing", 7
	id, err = s.Verify(t.Context(), signRaw(t, s.signer, "", own))
	require.NoError(t, err)
	require.False(t, id.Issued())
	require.True(t, id.Allows("anything"))
	require.Empty(t, id.TokenID)
}

// TestVerifier_Verify_issuedAttacks tries what must not count as a token that the server
// issued, or as more than one.
func TestVerifier_Verify_issuedAttacks(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	issuer, key := s.addIssuer(t, "acme")
	s.addKey(t, "other", newECKey(t))
	theirs, theirKey := s.addIssuer(t, "other")
	// One that got into the database past every check.
	s.table.keys["acme"][0].KeyID = "headwater:" + s.table.keys["acme"][0].ID
	with := func(claim string, value any) map[string]any {
		c := s.issuedClaims()
		c[claim] = value
		return c
	}
	without := func(claim string) map[string]any {
		c := s.issuedClaims()
		delete(c, claim)
		return c
	}
	reheader := func(header string) string {
		_, rest, _ := strings.Cut(signRaw(t, issuer, key.KeyID, s.issuedClaims()), ".")
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
	}
	for name, tt := range map[string]struct {
		token, contains string
	}{
		"a customer's key with a reserved kid":       {signRaw(t, s.signer, key.KeyID, s.issuedClaims()), "no active key"},
		"a customer's key whose kid is reserved":     {signRaw(t, s.signer, s.table.keys["acme"][0].KeyID, s.issuedClaims()), "no active key"},
		"a reserved kid in capitals":                 {signRaw(t, s.signer, "HEADWATER", s.issuedClaims()), "no active key"},
		"the reserved word alone":                    {signRaw(t, issuer, "headwater", s.issuedClaims()), "no active key"},
		"an issuer's key without kid":                {signRaw(t, issuer, "", s.issuedClaims()), "no active key"},
		"an issuer's key under its id":               {signRaw(t, issuer, key.ID, s.issuedClaims()), "no active key"},
		"the issuer of another organisation":         {signRaw(t, theirs, theirKey.KeyID, s.issuedClaims()), "no active key"},
		"that, under the kid of ours":                {signRaw(t, theirs, key.KeyID, s.issuedClaims()), "no active key"},
		"ours, for another organisation":             {signRaw(t, issuer, key.KeyID, with("iss", "other")), "no active key"},
		"an organisation that is gone":               {signRaw(t, issuer, key.KeyID, with("iss", "gone")), "no active key"},
		"no operations":                              {signRaw(t, issuer, key.KeyID, without("operations")), "no operations"},
		"null operations":                            {signRaw(t, issuer, key.KeyID, with("operations", nil)), "no operations"},
		"an empty list of operations":                {signRaw(t, issuer, key.KeyID, with("operations", []string{})), "no operations"},
		"operations as text":                         {signRaw(t, issuer, key.KeyID, with("operations", "listFiles")), "array of strings"},
		"operations as an object":                    {signRaw(t, issuer, key.KeyID, with("operations", map[string]bool{"listFiles": true})), "array of strings"},
		"null among the operations":                  {signRaw(t, issuer, key.KeyID, with("operations", []any{"listFiles", nil})), "array of strings"},
		"a number among the operations":              {signRaw(t, issuer, key.KeyID, with("operations", []any{"listFiles", 1})), "array of strings"},
		"no jti":                                     {signRaw(t, issuer, key.KeyID, without("jti")), "jti"},
		"a jti that is no text":                      {signRaw(t, issuer, key.KeyID, with("jti", 1)), "jti"},
		"nobody asked for it":                        {signRaw(t, issuer, key.KeyID, without("issued_by")), "issued_by"},
		"no iat":                                     {signRaw(t, issuer, key.KeyID, without("iat")), "longer"},
		"more than a day":                            {signRaw(t, issuer, key.KeyID, with("exp", start.Add(24*time.Hour+time.Second).Unix())), "longer"},
		"expired":                                    {signRaw(t, issuer, key.KeyID, with("exp", start.Add(-61*time.Second).Unix())), "expired"},
		"issued more than a minute ahead":            {signRaw(t, issuer, key.KeyID, with("iat", start.Add(61*time.Second).Unix())), "in the future"},
		"the header says HMAC":                       {reheader(`{"alg":"HS256","kid":"` + key.KeyID + `"}`), "algorithm that is not allowed"},
		"the header says no algorithm":               {reheader(`{"alg":"none","kid":"` + key.KeyID + `"}`), "algorithm that is not allowed"},
		"an algorithm that the key is not pinned to": {reheader(`{"alg":"EdDSA","kid":"` + key.KeyID + `"}`), "no active key"},
	} {
		_, err := s.Verify(t.Context(), tt.token)
		require.Equal(t, core.KindUnauthenticated, core.KindOf(err), name)
		require.ErrorContains(t, err, tt.contains, name)
	}

	// Clocks may differ by a minute, and unknown names open nothing and spoil nothing.
	ahead := with("iat", start.Add(59*time.Second).Unix())
	ahead["operations"] = []string{"nothingOfTheKind", "listFiles"}
	id, err := s.Verify(t.Context(), signRaw(t, issuer, key.KeyID, ahead))
	require.NoError(t, err)
	require.True(t, id.Allows("listFiles"))
	require.False(t, id.Allows("getFile"))
}

func TestVerifier_Verify_issuerKeys(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	issuer, key := s.addIssuer(t, "acme")
	token := signRaw(t, issuer, key.KeyID, s.issuedClaims())
	verify := func() (Identity, error) {
		s.Outdate()
		return s.Verify(t.Context(), token)
	}
	id, err := verify()
	require.NoError(t, err)

	// Rotated: good until its last token has ended, also from the cache of keys.
	rotated := &s.table.keys["acme"][1]
	rotated.VerifiesUntil = start.Add(10 * time.Millisecond)
	_, err = verify()
	require.NoError(t, err)
	s.clock.advance(10 * time.Millisecond)
	_, err = s.Verify(t.Context(), token)
	require.ErrorContains(t, err, "no active key")
	require.ErrorContains(t, s.Recheck(t.Context(), id), "disabled")
	rotated.VerifiesUntil = time.Time{}
	_, err = verify()
	require.NoError(t, err)
	require.NoError(t, s.Recheck(t.Context(), id))

	// The key on whose authority it was issued is disabled.
	s.table.keys["acme"][0].DisabledAt = start
	_, err = verify()
	require.ErrorContains(t, err, "authority")
	require.Error(t, s.Recheck(t.Context(), id))
	s.table.keys["acme"][0].DisabledAt = time.Time{}
	rotated.DisabledAt = start
	_, err = verify()
	require.ErrorContains(t, err, "no active key")
	require.Error(t, s.Recheck(t.Context(), id))
	delete(s.table.keys, "acme")
	_, err = verify()
	require.ErrorContains(t, err, "no active key", "the organisation was deleted")
}

// revocationTable is a RevocationSource in memory.
type revocationTable struct {
	mu    sync.Mutex
	rows  []core.Revocation
	err   error
	asked int
}

func (r *revocationTable) RevocationsAfter(_ context.Context, seq int64, limit int) ([]core.Revocation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if r.err != nil {
		return nil, r.err
	}
	rest := r.rows[seq:]
	return append([]core.Revocation(nil), rest[:min(limit, len(rest))]...), nil
}

func (r *revocationTable) add(rows ...core.Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, row := range rows {
		row.Seq = int64(len(r.rows) + 1)
		if row.Org == "" {
			row.Org = "acme"
		}
		r.rows = append(r.rows, row)
	}
}

func TestVerifier_Verify_revoked(t *testing.T) {
	t.Parallel()
	named := claims()
	named.TokenID = "jti-1"
	undated := claims()
	undated.IssuedAt = time.Time{}
	subject := func(before time.Time) core.Revocation {
		return core.Revocation{Kind: core.RevokedSubject, Value: "ci", IssuedBefore: before}
	}
	for name, tt := range map[string]struct {
		claims  Claims
		revoked []core.Revocation
		refused bool
	}{
		"by jti":                            {named, []core.Revocation{{Kind: core.RevokedToken, Value: "jti-1"}}, true},
		"another jti":                       {named, []core.Revocation{{Kind: core.RevokedToken, Value: "jti-2"}}, false},
		"of another organisation":           {named, []core.Revocation{{Kind: core.RevokedToken, Value: "jti-1", Org: "other"}}, false},
		"the jti as a subject":              {named, []core.Revocation{{Kind: core.RevokedSubject, Value: "jti-1", IssuedBefore: start}}, false},
		"no jti":                            {claims(), []core.Revocation{{Kind: core.RevokedToken, Value: ""}}, false},
		"subject, issued before":            {claims(), []core.Revocation{subject(start.Add(time.Second))}, true},
		"subject, issued at that time":      {claims(), []core.Revocation{subject(start)}, true},
		"subject, issued later":             {claims(), []core.Revocation{subject(start.Add(-time.Microsecond))}, false},
		"subject, issued at no time":        {undated, []core.Revocation{subject(start.Add(-time.Hour))}, true},
		"another subject":                   {claims(), []core.Revocation{{Kind: core.RevokedSubject, Value: "CI", IssuedBefore: start}}, false},
		"ended":                             {named, []core.Revocation{{Kind: core.RevokedToken, Value: "jti-1", ExpiresAt: start.Add(-61 * time.Second)}}, false},
		"ended, but for clocks that differ": {named, []core.Revocation{{Kind: core.RevokedToken, Value: "jti-1", ExpiresAt: start.Add(-59 * time.Second)}}, true},
		"twice, one has ended": {named, []core.Revocation{
			{Kind: core.RevokedToken, Value: "jti-1"}, {Kind: core.RevokedToken, Value: "jti-1", ExpiresAt: start.Add(-time.Hour)}}, true},
		"twice, the later time counts": {claims(), []core.Revocation{subject(start), subject(start.Add(-time.Hour))}, true},
	} {
		s, table := newSetup(t), &revocationTable{}
		s.WithRevocations(table)
		token := sign(t, s.signer, tt.claims)
		id, err := s.Verify(t.Context(), token)
		require.NoError(t, err, name)
		table.add(tt.revoked...)
		s.Outdate()
		_, err = s.Verify(t.Context(), token)
		recheck := s.Recheck(t.Context(), id)
		if !tt.refused {
			require.NoError(t, err, name)
			require.NoError(t, recheck, name)
			continue
		}
		requireRefusal(t, err, "revoked", token)
		requireRefusal(t, recheck, "revoked", token)
	}
}

// TestVerifier_Verify_revokedByHash wants that no other spelling of a revoked token opens
// anything: the second signature that anybody can make of an ES256 one, and base64url
// with bits that do not count or with line breaks.
func TestVerifier_Verify_revokedByHash(t *testing.T) {
	t.Parallel()
	s, table := newSetup(t), &revocationTable{}
	s.WithRevocations(table)
	// Payloads of every length, so that some leave bits over.
	for i := range 3 {
		c := claims()
		c.Subject = strings.Repeat("s", i+1)
		token := sign(t, s.signer, c)
		id, err := s.Verify(t.Context(), token)
		require.NoError(t, err)
		parts := strings.Split(token, ".")
		raw, err := base64.RawURLEncoding.DecodeString(parts[2])
		require.NoError(t, err)
		second := new(big.Int).Sub(elliptic.P256().Params().N, new(big.Int).SetBytes(raw[32:]))
		spellings := []string{
			token, parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(append(bytes.Clone(raw[:32]), second.FillBytes(make([]byte, 32))...)),
			parts[0] + "." + parts[1] + "\n." + parts[2], parts[0] + "\r." + parts[1] + "." + parts[2],
		}
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		for part := range parts {
			if last := parts[part][len(parts[part])-1]; len(parts[part])%4 != 0 {
				other := append([]string(nil), parts...)
				other[part] = parts[part][:len(parts[part])-1] + string(alphabet[strings.IndexByte(alphabet, last)^1])
				spellings = append(spellings, strings.Join(other, "."))
			}
		}
		verified := 0
		for _, one := range spellings {
			if got, err := s.Verify(t.Context(), one); err == nil {
				require.Equal(t, id.TokenHash, got.TokenHash, "%q", one)
				verified++
			}
		}
		require.GreaterOrEqual(t, verified, 3, "the attack works but for the hash")
		table.add(core.Revocation{Kind: core.RevokedHash, Value: Hash(token)})
		s.Outdate()
		for _, one := range spellings {
			_, err := s.Verify(t.Context(), one)
			require.Equal(t, core.KindUnauthenticated, core.KindOf(err), "%q", one)
		}
	}
	require.True(t, ValidHash(Hash("x")))
	for _, text := range []string{"", "00", strings.ToUpper(Hash("x")), Hash("x") + "0", strings.Repeat("g", 64)} {
		require.False(t, ValidHash(text), text)
	}
}

func TestVerifier_Verify_revocationsOfOtherProcesses(t *testing.T) {
	t.Parallel()
	s, table := newSetup(t), &revocationTable{}
	s.WithRevocations(table)
	require.NoError(t, s.Load(t.Context()))
	token := sign(t, s.signer, claims())
	_, err := s.Verify(t.Context(), token)
	require.NoError(t, err)
	require.Equal(t, 1, table.asked)
	table.add(core.Revocation{Kind: core.RevokedHash, Value: Hash(token)})
	s.clock.advance(revocationLifetime - time.Millisecond)
	_, err = s.Verify(t.Context(), token)
	require.NoError(t, err)
	s.clock.advance(time.Millisecond)
	_, err = s.Verify(t.Context(), token)
	requireRefusal(t, err, "revoked", token)
	require.Equal(t, 2, table.asked)

	table.err = errors.New("disk on fire")
	s.clock.advance(revocationLifetime)
	_, err = s.Verify(t.Context(), sign(t, s.signer, claims()))
	require.Equal(t, core.KindInternal, core.KindOf(err), "what may be revoked opens nothing")
}

// TestVerifier_Verify_manyRevocations measures the memory of a hundred thousand, and
// wants that those which have ended go.
func TestVerifier_Verify_manyRevocations(t *testing.T) {
	const many = 100_000
	s, table := newSetup(t), &revocationTable{}
	s.WithRevocations(table)
	rows := make([]core.Revocation, many)
	for i := range rows {
		rows[i] = core.Revocation{Kind: core.RevokedToken, Value: "jti-" + strconv.Itoa(i), ExpiresAt: start.Add(time.Hour)}
	}
	rows[many/2].ExpiresAt = time.Time{}
	table.add(rows...)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	require.NoError(t, s.Load(t.Context()))
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Len(t, s.revoked.known, many)
	require.Equal(t, many/revocationBatch+1, table.asked)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(20<<20))
	c := claims()
	c.TokenID = "jti-" + strconv.Itoa(many/2)
	token := sign(t, s.signer, c)
	_, err := s.Verify(t.Context(), token)
	requireRefusal(t, err, "revoked", token)
	s.clock.advance(2 * time.Hour)
	require.NoError(t, s.Load(t.Context()))
	require.Len(t, s.revoked.known, 1)
	runtime.KeepAlive(table)
}

func TestPolicy_Refs(t *testing.T) {
	t.Parallel()
	claim := `[["agents/*",[]],["HEAD",["no-push"]],["refs/tags/v1",["no-push","verify-sig"]],["*",["no-force-push"]]]`
	p, err := ParsePolicy(json.RawMessage(claim), []string{"verify-sig"})
	require.NoError(t, err)
	again, err := json.Marshal(p.Refs())
	require.NoError(t, err)
	same, err := ParsePolicy(again, nil)
	require.NoError(t, err)
	require.Equal(t, p, same)
	require.Empty(t, Policy{}.Refs())
}
