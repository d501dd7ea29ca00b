package access

import (
	"context"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

// signJSON signs any payload, also one that Claims cannot say.
func signJSON(t *testing.T, key PrivateKey, payload string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: key.algorithm, Key: key.signer}, nil)
	require.NoError(t, err)
	object, err := signer.Sign([]byte(payload))
	require.NoError(t, err)
	token, err := object.CompactSerialize()
	require.NoError(t, err)
	return token
}

func TestVerifier_Verify_returnsTheIdentity(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	c := claims()
	c.Refs = []RefOps{{"main", []Op{NoForcePush}}, {"wip/*", nil}}
	c.Ops = []Op{NoPush}
	token := sign(t, s.signer, c)
	got, err := s.Verify(t.Context(), token)
	require.NoError(t, err)
	want := Identity{TokenHash: Hash(token), Org: "acme", Subject: "ci", Repo: "team/app", Scopes: []Scope{GitWrite},
		IssuedAt: start, ExpiresAt: start.Add(time.Hour), KeyID: s.table.keys["acme"][0].ID}
	require.Empty(t, cmp.Diff(want, got, cmpopts.IgnoreFields(Identity{}, "Policy"), cmp.AllowUnexported(Identity{})))
	require.Equal(t, Rule{NoForcePush: true}, got.Policy.Rule("refs/heads/main"))
	require.Equal(t, Rule{}, got.Policy.Rule("refs/heads/wip/1"))
	require.Equal(t, Rule{NoPush: true}, got.Policy.Rule("refs/heads/other"))
}

func TestVerifier_Verify_checksTheTimes(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	for _, tt := range []struct {
		name     string
		issued   time.Time
		expires  time.Time
		contains string
	}{
		{"good", start, start.Add(time.Second), ""},
		{"no iat", time.Time{}, start.Add(time.Hour), ""},
		{"lives for years", start, start.AddDate(50, 0, 0), ""},
		{"expired within the skew", start.Add(-time.Hour), start.Add(-60 * time.Second), ""},
		{"issued within the skew", start.Add(60 * time.Second), start.Add(time.Hour), ""},
		{"expired", start.Add(-time.Hour), start.Add(-61 * time.Second), "expired at 2031-05-01T11:58:59Z"},
		{"expired in 1970", start, time.Unix(0, 0), "expired at 1970"},
		{"no exp", start, time.Time{}, `no claim "exp"`},
		{"issued in the future", start.Add(61 * time.Second), start.Add(time.Hour), "issued in the future"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := claims()
			c.IssuedAt, c.ExpiresAt = tt.issued, tt.expires
			token := sign(t, s.signer, c)
			_, err := s.Verify(t.Context(), token)
			requireRefusal(t, err, tt.contains, token)
		})
	}
}

func TestVerifier_Verify_readsTheClaims(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	for _, tt := range []struct {
		name, payload, contains string
	}{
		{"least", `{"iss":"acme","exp":NOW}`, ""},
		{"fraction of a second", `{"iss":"acme","exp":NOW.5}`, ""},
		{"nulls are absent", `{"iss":"acme","exp":NOW,"iat":null,"repo":null,"scopes":null,"refs":null,"ops":null,"sub":null}`, ""},
		{"unknown claims and scopes", `{"iss":"acme","exp":NOW,"aud":["x"],"jti":1,"scopes":["admin:all"]}`, ""},
		{"no issuer", `{"exp":NOW}`, `no claim "iss"`},
		{"issuer is a list", `{"iss":["acme"],"exp":NOW}`, "claims of the token are malformed"},
		{"payload is no object", `["acme"]`, "claims of the token are malformed"},
		{"claim given twice", `{"iss":"acme","exp":NOW,"repo":"a","repo":"b"}`, "malformed"},
		{"claim of another case does not count", `{"iss":"acme","EXP":NOW}`, `no claim "exp"`},
		{"exp is a string", `{"iss":"acme","exp":"NOW"}`, `"exp" of the token must be a number`},
		{"exp is null", `{"iss":"acme","exp":null}`, `no claim "exp"`},
		{"exp in milliseconds", `{"iss":"acme","exp":NOW000}`, "not milliseconds"},
		{"exp is huge", `{"iss":"acme","exp":1e300}`, "out of range"},
		{"exp is negative", `{"iss":"acme","exp":-1}`, "out of range"},
		{"iat is a string", `{"iss":"acme","exp":NOW,"iat":"x"}`, `"iat" of the token must be a number`},
		{"nbf in the future", `{"iss":"acme","exp":NOW,"nbf":NOW}`, "not valid before"},
		{"repo is a number", `{"iss":"acme","exp":NOW,"repo":1}`, `"repo" of the token must be a string`},
		{"sub is a number", `{"iss":"acme","exp":NOW,"sub":1}`, `"sub" of the token must be a string`},
		{"scopes are one string", `{"iss":"acme","exp":NOW,"scopes":"git:read git:write"}`, `"scopes" of the token must be an array`},
		{"ops are a string", `{"iss":"acme","exp":NOW,"ops":"no-push"}`, `"ops" of the token must be an array`},
		{"ops hold null", `{"iss":"acme","exp":NOW,"ops":[null]}`, `"ops" is malformed at entry 1`},
		{"unknown op", `{"iss":"acme","exp":NOW,"refs":[["main",["no-pull"]]]}`, `"refs" is malformed at entry 1: unknown op "no-pull"`},
		{"refs are an object", `{"iss":"acme","exp":NOW,"refs":{"main":["no-push"]}}`, `"refs" must be an array`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// In one hour: 1935406800 + 3600.
			token := signJSON(t, s.signer, strings.ReplaceAll(tt.payload, "NOW", "1935410400"))
			_, err := s.Verify(t.Context(), token)
			requireRefusal(t, err, tt.contains, token)
		})
	}
}

// requireRefusal checks for success if contains is empty, else for a
// KindUnauthenticated error with that text and no part of the token.
func requireRefusal(t *testing.T, err error, contains, token string) {
	t.Helper()
	if contains == "" {
		require.NoError(t, err)
		return
	}
	require.ErrorContains(t, err, contains)
	require.Equal(t, core.KindUnauthenticated, core.KindOf(err))
	for part := range strings.SplitSeq(token, ".") {
		if part != "" {
			require.NotContains(t, err.Error(), part)
		}
	}
}

func TestVerifier_Verify_refusesForgedTokens(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	good := sign(t, s.signer, claims())
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	stranger := newECKey(t)
	s.addKey(t, "other", stranger)
	public, err := s.signer.PublicPEM()
	require.NoError(t, err)
	hmac, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: public}, nil)
	require.NoError(t, err)
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	confused, err := hmac.Sign(payload)
	require.NoError(t, err)
	hs256, err := confused.CompactSerialize()
	require.NoError(t, err)
	nobody := claims()
	nobody.Issuer = "nobody"
	other := claims()
	other.Issuer = "other"
	named := claims()
	named.KeyID = s.table.keys["acme"][0].ID
	changed := strings.Replace(string(payload), "team/app", "team/all", 1)

	for _, tt := range []struct {
		name, token, contains string
	}{
		{"empty", "", "no token"},
		{"no dots", "abc", "malformed"},
		{"too long", strings.Repeat("a", 65<<10), "too long"},
		{"key of nobody", sign(t, newECKey(t), claims()), "no active key"},
		{"key of another organisation", sign(t, stranger, claims()), "no active key"},
		{"kid of a good key, signed by another", sign(t, stranger, named), "no active key"},
		{"unknown organisation", sign(t, s.signer, nobody), `no active key of organisation "nobody"`},
		{"issuer changed to another organisation", sign(t, s.signer, other), "no active key"},
		{"payload changed", parts[0] + "." + encode([]byte(changed)) + "." + parts[2], "no active key"},
		{"no signature", parts[0] + "." + parts[1] + ".", "no active key"},
		{"alg none", encode([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", "algorithm that is not allowed"},
		{"HMAC with the public key", hs256, "algorithm that is not allowed"},
		{"header of another algorithm", encode([]byte(`{"alg":"RS256"}`)) + "." + parts[1] + "." + parts[2], "no active key"},
		{"own key in the header", embedKey(t, stranger), "no active key"},
		{"unknown critical header", encode([]byte(`{"alg":"ES256","crit":["x"],"x":1}`)) + "." + parts[1] + "." + parts[2], "malformed"},
		{"JSON form", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := s.Verify(t.Context(), tt.token)
			requireRefusal(t, err, tt.contains, tt.token)
		})
	}
}

// embedKey signs a token that carries its own public key in the header.
func embedKey(t *testing.T, key PrivateKey) string {
	t.Helper()
	return signWith(t, key, &jose.SignerOptions{EmbedJWK: true}, map[string]any{"iss": "acme", "exp": start.Add(time.Hour).Unix()})
}

func TestVerifier_Verify_triesEveryKeyOfTheAlgorithm(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	second := s.addKey(t, "acme", newECKey(t))
	ed, err := ParsePrivateKey(privatePEM(t, newEd25519(t)))
	require.NoError(t, err)
	s.addKey(t, "acme", ed)
	s.table.keys["acme"][1].KeyID = "blue"
	for _, kid := range []string{"", "blue", "unknown", s.table.keys["acme"][0].ID} {
		for want, key := range []PrivateKey{s.signer, second, ed} {
			c := claims()
			c.KeyID = kid
			id, err := s.Verify(t.Context(), sign(t, key, c))
			require.NoError(t, err, "kid %q", kid)
			require.Equal(t, s.table.keys["acme"][want].ID, id.KeyID)
		}
	}
}

func TestVerifier_Verify_disabledKeyStopsWithinASecond(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	token := sign(t, s.signer, claims())
	_, err := s.Verify(t.Context(), token)
	require.NoError(t, err)
	s.table.keys["acme"][0].DisabledAt = start
	s.clock.advance(999 * time.Millisecond)
	_, err = s.Verify(t.Context(), token)
	require.NoError(t, err, "keys are cached for a second")
	require.Equal(t, 1, s.table.asked)
	s.clock.advance(time.Millisecond)
	_, err = s.Verify(t.Context(), token)
	requireRefusal(t, err, "no active key", token)
}

func TestVerifier_Verify_keepsNothingForMadeUpIssuers(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	c := claims()
	c.Issuer = "made-up"
	for range 3 {
		_, err := s.Verify(t.Context(), sign(t, s.signer, c))
		require.Error(t, err)
	}
	require.Empty(t, s.cache)
}

func TestVerifier_Verify_aBrokenStoredKey(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	rsa, err := ParsePrivateKey(privatePEM(t, newRSA(t, 2048)))
	require.NoError(t, err)
	s.addKey(t, "acme", rsa)
	s.table.keys["acme"][1].Algorithm = "ES256"

	_, err = s.Verify(t.Context(), sign(t, s.signer, claims()))
	require.NoError(t, err, "the other keys still work")
	_, err = s.Verify(t.Context(), sign(t, rsa, claims()))
	require.Equal(t, core.KindInternal, core.KindOf(err))
	require.ErrorContains(t, err, s.table.keys["acme"][1].ID)
}

func TestVerifier_Verify_failureOfTheSourceIsNotTheTokensFault(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.table.err = errors.New("disk on fire")
	_, err := s.Verify(t.Context(), sign(t, s.signer, claims()))
	require.Equal(t, core.KindInternal, core.KindOf(err))
}

func TestVerifier_Verify_isSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	token := sign(t, s.signer, claims())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if _, err := s.Verify(t.Context(), token); err != nil {
					t.Error(err)
				}
				s.clock.advance(300 * time.Millisecond)
			}
		})
	}
	wg.Wait()
}

func TestIdentity_Can_table(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		has   []Scope
		opens []Scope
	}{
		{"nothing", nil, nil},
		{"git:read", []Scope{GitRead}, []Scope{GitRead}},
		{"git:write includes git:read", []Scope{GitWrite}, []Scope{GitRead, GitWrite}},
		{"repo:write alone", []Scope{RepoWrite}, []Scope{RepoWrite}},
		{"org:read alone", []Scope{OrgRead}, []Scope{OrgRead}},
		{"all", Scopes(), Scopes()},
		{"unknown", []Scope{"git:*"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var opens []Scope
			for _, s := range Scopes() {
				if (Identity{Scopes: tt.has}).Can(s) {
					opens = append(opens, s)
				}
			}
			require.Equal(t, tt.opens, opens)
		})
	}
}

func TestIdentity_Names_onlyItsRepository(t *testing.T) {
	t.Parallel()
	repo := core.Repository{ID: "repo_1", Org: "acme", Name: "app"}
	for _, tt := range []struct {
		name string
		id   Identity
		want bool
	}{
		{"public name", Identity{Org: "acme", Repo: "app"}, true},
		{"internal id", Identity{Org: "acme", Repo: "repo_1"}, true},
		{"another repository", Identity{Org: "acme", Repo: "App"}, false},
		{"another organisation", Identity{Org: "other", Repo: "app"}, false},
		{"org-wide", Identity{Org: "acme", Repo: "org"}, false},
		{"no claim", Identity{Org: "acme"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, tt.id.Names(repo))
		})
	}
	require.False(t, Identity{Org: "acme"}.Names(core.Repository{Org: "acme"}), "an empty claim never matches")
	require.False(t, Identity{Repo: "app"}.OrgWide())
	require.True(t, Identity{Repo: "org"}.OrgWide())
}

func TestSign_refusesKeysOfOtherCurves(t *testing.T) {
	t.Parallel()
	_, err := Sign(PrivateKey{algorithm: jose.ES256, signer: newCurve(t, elliptic.P384())}, claims())
	require.Error(t, err)
}

func TestVerifier_WithAuthenticator(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	good := Identity{Org: "acme", Subject: "ada", Scopes: Scopes(), ExpiresAt: start.Add(time.Hour)}
	refused := core.Errorf(core.KindUnauthenticated, "the session has ended")
	s.WithAuthenticator(func(_ context.Context, token string) (Identity, bool, error) {
		switch token {
		case "session":
			return good, true, nil
		case "expired":
			return Identity{Org: "acme", ExpiresAt: start.Add(-time.Second)}, true, nil
		case "nowhere":
			return Identity{ExpiresAt: start.Add(time.Hour)}, true, nil
		case "refused":
			return Identity{}, true, refused
		case "broken":
			return Identity{}, false, core.Errorf(core.KindInternal, "no database")
		}
		return good, false, nil // what it does not know opens nothing
	})
	for token, want := range map[string]core.Kind{
		"session": "", "expired": core.KindUnauthenticated, "nowhere": core.KindInternal, "refused": core.KindUnauthenticated,
		"broken": core.KindInternal, "unknown": core.KindUnauthenticated, "": core.KindUnauthenticated,
	} {
		id, err := s.Verify(t.Context(), token)
		require.Equal(t, want, core.KindOf(err), "%q", token)
		if want == "" {
			want := good
			want.TokenHash, want.external = Hash(token), true
			require.Equal(t, want, id)
		} else {
			require.Zero(t, id, "%q", token)
		}
	}

	// Tokens of ours are still verified.
	own, err := Sign(s.signer, Claims{Issuer: "acme", ExpiresAt: start.Add(time.Hour)})
	require.NoError(t, err)
	id, err := s.Verify(t.Context(), own)
	require.NoError(t, err)
	require.Equal(t, "acme", id.Org)
}
