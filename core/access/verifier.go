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
	looked func(found bool)

	revoked revocations

	mu    sync.Mutex
	cache map[string]keySet // by organisation; only those that have keys
	// outdated counts calls of Outdate, so that what was read before one is not
	// kept after it.
	outdated int
}

// keySet is the active keys of one organisation.
type keySet struct {
	keys     []verifyKey
	disabled map[string]bool // by id
	broken   error           // of a stored key that cannot be read
	loaded   time.Time
}

type verifyKey struct {
	id, keyID string
	issuer    bool      // the server's own
	until     time.Time // of a key of the server that signs no more; zero: no end
	algorithm jose.SignatureAlgorithm
	public    crypto.PublicKey
}

// NewVerifier returns a verifier that finds keys in the source.
func NewVerifier(keys KeySource, clock core.Clock) *Verifier {
	return &Verifier{source: keys, clock: clock, looked: func(bool) {}, cache: make(map[string]keySet)}
}

// WithAuthenticator makes the verifier ask a before it takes a token for one of
// ours. It must be called before the first use, and returns the verifier; nil
// changes nothing.
func (v *Verifier) WithAuthenticator(a Authenticator) *Verifier {
	v.others = a
	return v
}

// WithLooked makes the verifier call looked for each token: whether it had the keys of
// its organisation. It must be called before the first use, and returns the verifier;
// looked must not wait.
func (v *Verifier) WithLooked(looked func(found bool)) *Verifier {
	v.looked = looked
	return v
}

// WithRevocations makes the verifier refuse what the source says is revoked. It must
// be called before the first use, and returns the verifier.
//
// A failure of the source is a failure of [Verifier.Verify]: a token that may be
// revoked opens nothing.
func (v *Verifier) WithRevocations(source RevocationSource) *Verifier {
	v.revoked.source = source
	return v
}

// Load reads all revocations, so that the first request does not wait for it.
func (v *Verifier) Load(ctx context.Context) error { return v.revoked.current(ctx, v.clock.Now()) }

// Outdate makes the verifier read keys and revocations anew: this process has changed
// them. What other processes change counts within a second.
func (v *Verifier) Outdate() {
	v.revoked.outdate()
	v.mu.Lock()
	defer v.mu.Unlock()
	clear(v.cache)
	v.outdated++
}

// Recheck is for what goes on long after its token was verified, as streams do. It
// returns KindUnauthenticated if the token has expired or was revoked since, or its key
// disabled, and a failure of the sources as it is.
func (v *Verifier) Recheck(ctx context.Context, id Identity) error {
	now := v.clock.Now()
	if !now.Before(id.ExpiresAt.Add(clockSkew)) {
		return refuse("the token expired at %s", id.ExpiresAt.Format(time.RFC3339))
	}
	if err := v.revoked.check(ctx, id, now); err != nil {
		return err
	}
	if id.external {
		return nil
	}
	set, err := v.keys(ctx, id.Org)
	if err != nil {
		return err
	}
	verifies := func(key verifyKey) bool { return key.id == id.KeyID && key.verifies(now) }
	if !slices.ContainsFunc(set.keys, verifies) || set.disabled[id.IssuedBy] {
		return refuse("the key of the token is disabled")
	}
	return nil
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
	// Ours alone are these.
	id.external, id.issued, id.operations, id.IssuedBy = true, false, nil, ""
	id.TokenHash = Hash(token)
	if err := v.revoked.check(ctx, id, v.clock.Now()); err != nil {
		return Identity{}, true, err
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
	header, now := parsed.Headers[0], v.clock.Now()
	for _, key := range set.candidates(header, now) {
		var claims rawClaims
		err := parsed.Claims(key.public, &claims)
		switch {
		case errors.Is(err, jose.ErrCryptoFailure):
			continue
		case err != nil:
			return Identity{}, refuse("the token is malformed")
		}
		id, err := claims.identity(now)
		if err == nil && key.issuer {
			err = claims.issued(&id)
		}
		if err != nil {
			return Identity{}, err
		}
		id.KeyID, id.TokenHash = key.id, Hash(token)
		if set.disabled[id.IssuedBy] {
			return Identity{}, refuse("the key on whose authority the token was issued is disabled")
		}
		if err := v.revoked.check(ctx, id, now); err != nil {
			return Identity{}, err
		}
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
// names first. The kid is only a hint: SDKs leave it out. A reserved one is more: it
// names one key of the server, and no other key is tried, nor is such a key tried for
// a token that does not name it. So no key of a customer makes a token that counts as
// issued by the server, and none of the server one that counts as the customer's.
func (s keySet) candidates(header jose.Header, now time.Time) []verifyKey {
	reserved := core.ReservedKeyID(header.KeyID)
	var named, others []verifyKey
	for _, key := range s.keys {
		switch {
		case string(key.algorithm) != header.Algorithm || key.issuer != reserved || !key.verifies(now):
		case header.KeyID != "" && (header.KeyID == key.keyID || header.KeyID == key.id):
			named = append(named, key)
		case !reserved:
			others = append(others, key)
		}
	}
	return slices.Concat(named, others)
}

// verifies reports whether the key is still one.
func (k verifyKey) verifies(now time.Time) bool { return k.until.IsZero() || now.Before(k.until) }

// keys returns the active keys of an organisation, from the cache if they are
// fresh. The mutex is not held while the source is asked; two callers may ask
// at once, which does no harm.
func (v *Verifier) keys(ctx context.Context, org string) (keySet, error) {
	now := v.clock.Now()
	v.mu.Lock()
	set, ok := v.cache[org]
	outdated := v.outdated
	v.mu.Unlock()
	age := now.Sub(set.loaded)
	fresh := ok && age >= 0 && age < keyLifetime
	v.looked(fresh)
	if fresh {
		return set, nil
	}

	stored, err := v.source.Keys(ctx, org)
	if err != nil && core.KindOf(err) != core.KindNotFound {
		return keySet{}, err
	}
	set = keySet{loaded: now, disabled: map[string]bool{}}
	for _, key := range stored {
		if !key.DisabledAt.IsZero() {
			set.disabled[key.ID] = true
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
		set.keys = append(set.keys, verifyKey{
			id: key.ID, keyID: key.KeyID, issuer: key.Issuer, until: key.VerifiesUntil, algorithm: alg, public: public,
		})
	}

	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case len(stored) == 0:
		// Nothing is kept for made-up issuers: they would fill the memory.
		delete(v.cache, org)
	case v.outdated == outdated:
		v.cache[org] = set
	}
	return set, nil
}
