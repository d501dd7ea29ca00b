package access

import (
	"context"
	"crypto"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/headwater-git/headwater/core"
)

const (
	// clockSkew is how far the clock of a signer may be off.
	clockSkew = 60 * time.Second
	// keyLifetime is how long parsed keys are used without asking the store:
	// long enough to spare a request storm the parsing, short enough that a
	// disabled key stops working at once for a person.
	keyLifetime = time.Second
	// maxToken bounds what is decoded before anything is verified, in bytes.
	maxToken = 64 << 10
)

// KeySource returns the public keys of an organisation; [core.Store] is one.
type KeySource interface {
	// Keys returns the keys, disabled ones too. An unknown organisation may be
	// an empty answer or KindNotFound.
	Keys(ctx context.Context, org string) ([]core.Key, error)
}

var _ KeySource = (core.Store)(nil)

// Authenticator recognises tokens of another kind than ours: sessions or API keys
// of a program that embeds the server. It returns false for a token that it does
// not know, which is then verified as one of ours, and an error of
// [core.KindUnauthenticated] for one that it refuses. The identity needs an
// organisation and a time at which it expires: streams end then.
//
// It is called for every request, concurrently, and must not log the token.
type Authenticator func(ctx context.Context, token string) (Identity, bool, error)

// Verifier turns tokens into identities. It is safe for concurrent use.
type Verifier struct {
	source KeySource
	clock  core.Clock
	others Authenticator // nil: there are tokens of ours alone

	mu    sync.Mutex
	cache map[string]keySet // by organisation; only those that have keys
}

// keySet is the active keys of one organisation.
type keySet struct {
	keys   []verifyKey
	broken error // of a stored key that cannot be read
	loaded time.Time
}

type verifyKey struct {
	id, keyID string
	algorithm jose.SignatureAlgorithm
	public    crypto.PublicKey
}

// NewVerifier returns a verifier that finds keys in the source.
func NewVerifier(keys KeySource, clock core.Clock) *Verifier {
	return &Verifier{source: keys, clock: clock, cache: make(map[string]keySet)}
}

// WithAuthenticator makes the verifier ask a before it takes a token for one of
// ours. It must be called before the first use, and returns the verifier; nil
// changes nothing.
func (v *Verifier) WithAuthenticator(a Authenticator) *Verifier {
	v.others = a
	return v
}

// authenticate returns the identity of a token that is not one of ours.
func (v *Verifier) authenticate(ctx context.Context, token string) (Identity, bool, error) {
	if v.others == nil {
		return Identity{}, false, nil
	}
	id, known, err := v.others(ctx, token)
	switch {
	case err != nil || !known:
		return Identity{}, known, err
	case id.Org == "":
		return Identity{}, true, core.Errorf(core.KindInternal, "the authentication of this server names no organisation for a token")
	case !v.clock.Now().Before(id.ExpiresAt):
		return Identity{}, true, refuse("the token expired at %s", id.ExpiresAt.Format(time.RFC3339))
	}
	return id, true, nil
}

// Verify returns the identity of a token in compact form. A token that does
// not verify gives KindUnauthenticated with a text that says why and never
// holds the token; a failure of the key source is returned as it is.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	if token == "" {
		return Identity{}, refuse("no token was given")
	}
	if len(token) > maxToken {
		return Identity{}, refuse("the token is too long")
	}
	if id, known, err := v.authenticate(ctx, token); known || err != nil {
		return id, err
	}
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		if _, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
			return Identity{}, refuse("the token is signed with an algorithm that is not allowed; use ES256, RS256 or EdDSA")
		}
		return Identity{}, refuse("the token is malformed")
	}
	var unverified struct {
		Issuer string `json:"iss"`
	}
	if parsed.UnsafeClaimsWithoutVerification(&unverified) != nil {
		return Identity{}, refuse("the claims of the token are malformed")
	}
	if unverified.Issuer == "" {
		return Identity{}, refuse(`the token has no claim "iss"; it must name the organisation`)
	}

	set, err := v.keys(ctx, unverified.Issuer)
	if err != nil {
		return Identity{}, err
	}
	header := parsed.Headers[0]
	for _, key := range set.candidates(header) {
		var claims rawClaims
		err := parsed.Claims(key.public, &claims)
		switch {
		case errors.Is(err, jose.ErrCryptoFailure):
			continue
		case err != nil:
			return Identity{}, refuse("the token is malformed")
		}
		id, err := claims.identity(v.clock.Now())
		if err != nil {
			return Identity{}, err
		}
		id.KeyID = key.id
		return id, nil
	}
	if set.broken != nil {
		return Identity{}, set.broken
	}
	// The same words for an organisation that does not exist, so that a
	// stranger cannot find out which ones do.
	return Identity{}, refuse("no active key of organisation %q verifies the token", unverified.Issuer)
}

func refuse(format string, args ...any) error {
	err := core.Errorf(core.KindUnauthenticated, format, args...)
	err.Op = "verify token"
	return err
}

// candidates returns the keys of the header's algorithm, those that its "kid"
// names first. The kid is only a hint: SDKs leave it out.
func (s keySet) candidates(header jose.Header) []verifyKey {
	var named, others []verifyKey
	for _, key := range s.keys {
		switch {
		case string(key.algorithm) != header.Algorithm:
		case header.KeyID != "" && (header.KeyID == key.keyID || header.KeyID == key.id):
			named = append(named, key)
		default:
			others = append(others, key)
		}
	}
	return slices.Concat(named, others)
}

// keys returns the active keys of an organisation, from the cache if they are
// fresh. The mutex is not held while the source is asked; two callers may ask
// at once, which does no harm.
func (v *Verifier) keys(ctx context.Context, org string) (keySet, error) {
	now := v.clock.Now()
	v.mu.Lock()
	set, ok := v.cache[org]
	v.mu.Unlock()
	if age := now.Sub(set.loaded); ok && age >= 0 && age < keyLifetime {
		return set, nil
	}

	stored, err := v.source.Keys(ctx, org)
	if err != nil && core.KindOf(err) != core.KindNotFound {
		return keySet{}, err
	}
	set = keySet{loaded: now}
	for _, key := range stored {
		if !key.DisabledAt.IsZero() {
			continue
		}
		public, alg, err := parsePublicKey([]byte(key.PublicPEM))
		if err == nil && string(alg) != key.Algorithm {
			err = core.Errorf(core.KindInvalid, "the key is not one for %s", key.Algorithm)
		}
		if err != nil {
			// The other keys still work; only who needs this one sees the failure.
			set.broken = &core.Error{Kind: core.KindInternal, Op: "read public key", Subject: key.ID,
				Message: "a stored public key of the organisation cannot be used", Err: err}
			continue
		}
		set.keys = append(set.keys, verifyKey{id: key.ID, keyID: key.KeyID, algorithm: alg, public: public})
	}

	v.mu.Lock()
	defer v.mu.Unlock()
	if len(stored) == 0 {
		// Nothing is kept for made-up issuers: they would fill the memory.
		delete(v.cache, org)
	} else {
		v.cache[org] = set
	}
	return set, nil
}
