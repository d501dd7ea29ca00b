package access

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync"
	"time"

	"github.com/headwater-git/headwater/core"
)

const (
	// revocationLifetime is how long the revocations that were read are used
	// without asking the source: what another process writes counts after that.
	revocationLifetime = 500 * time.Millisecond
	// revocationBatch is how many are read at once.
	revocationBatch = 5000
	// pruneInterval is how often those that have ended are let go.
	pruneInterval = time.Hour
)

// RevocationSource reads revocations; [core.Store] is one.
type RevocationSource interface {
	// RevocationsAfter lists those of all organisations above a place, in order.
	RevocationsAfter(ctx context.Context, seq int64, limit int) ([]core.Revocation, error)
}

var _ RevocationSource = (core.Store)(nil)

// Hash returns the hash of a token by which it is revoked, and which the audit shows:
// SHA-256, in hexadecimal, of what is signed of it (RFC 7515 section 5.1), that is, its
// first two parts and the dot between them. The signature is left out, because of one
// ES256 signature anybody can make a second that verifies, and base64url has several
// spellings of the same bytes; a hash of the whole text would be escaped that way. What
// is not a token of ours is hashed as it is.
func Hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	header, rest, ok := strings.Cut(token, ".")
	payload, _, signed := strings.Cut(rest, ".")
	if ok && signed {
		// The decoder is that of go-jose, so what that takes is read alike here.
		text := base64.RawURLEncoding
		h, headerErr := text.DecodeString(header)
		p, payloadErr := text.DecodeString(payload)
		if headerErr == nil && payloadErr == nil {
			sum = sha256.Sum256([]byte(text.EncodeToString(h) + "." + text.EncodeToString(p)))
		}
	}
	return hex.EncodeToString(sum[:])
}

// ValidHash reports whether text has the form of a [Hash].
func ValidHash(text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == sha256.Size && strings.ToLower(text) == text
}

// revocationKey is what is looked up: organisation, kind and value, hashed, so that
// each takes the same few bytes whatever customers call their tokens.
type revocationKey [sha256.Size]byte

func keyOf(org string, kind core.RevocationKind, value string) revocationKey {
	// A zero byte is in neither an organisation nor a kind.
	return sha256.Sum256([]byte(org + "\x00" + string(kind) + "\x00" + value))
}

// revocationEnd says up to when tokens are refused, in microseconds since 1970.
type revocationEnd struct {
	issuedBefore int64 // of a subject
	expiresAt    int64 // 0: never
}

// merge returns what refuses all that either refuses.
func (e revocationEnd) merge(other revocationEnd) revocationEnd {
	e.issuedBefore = max(e.issuedBefore, other.issuedBefore)
	if e.expiresAt == 0 || other.expiresAt == 0 {
		e.expiresAt = 0
		return e
	}
	e.expiresAt = max(e.expiresAt, other.expiresAt)
	return e
}

// ended reports whether all tokens that it is about have ended.
func (e revocationEnd) ended(now time.Time) bool {
	return e.expiresAt != 0 && now.UnixMicro() > e.expiresAt+clockSkew.Microseconds()
}

// revocations is all that is revoked on this server, in memory: a hundred thousand take
// about ten megabytes, and one is found without asking the database. It is read from
// the source by place, so that what another process wrote comes in as it grows.
type revocations struct {
	source RevocationSource // nil: nothing is ever revoked

	reading sync.Mutex // one reader asks the source at a time; the others wait for it
	seq     int64      // the last place that was read; guarded by reading

	mu     sync.RWMutex
	known  map[revocationKey]revocationEnd
	loaded time.Time // zero: what was read is out of date
	writes int       // how often it was said to be
	pruned time.Time
}

// current reads what is new, unless that was done just now.
func (r *revocations) current(ctx context.Context, now time.Time) error {
	if r.source == nil || r.fresh(now) {
		return nil
	}
	r.reading.Lock()
	defer r.reading.Unlock()
	if r.fresh(now) {
		return nil
	}
	r.mu.RLock()
	writes := r.writes
	r.mu.RUnlock()
	for {
		batch, err := r.source.RevocationsAfter(ctx, r.seq, revocationBatch)
		if err != nil {
			return err
		}
		r.add(batch)
		if len(batch) > 0 {
			r.seq = batch[len(batch)-1].Seq
		}
		if len(batch) < revocationBatch {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.writes == writes {
		r.loaded = now
	}
	r.prune(now)
	return nil
}

// fresh reports whether what is known is new enough to decide by.
func (r *revocations) fresh(now time.Time) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	age := now.Sub(r.loaded)
	return !r.loaded.IsZero() && age >= 0 && age < revocationLifetime
}

func (r *revocations) add(batch []core.Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = make(map[revocationKey]revocationEnd, len(batch))
	}
	for _, one := range batch {
		end := revocationEnd{issuedBefore: micros(one.IssuedBefore), expiresAt: micros(one.ExpiresAt)}
		key := keyOf(one.Org, one.Kind, one.Value)
		if before, ok := r.known[key]; ok {
			end = end.merge(before)
		}
		r.known[key] = end
	}
}

// micros returns t in microseconds since 1970, 0 for the zero time.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// prune lets go of what has ended. The caller holds mu.
func (r *revocations) prune(now time.Time) {
	if now.Sub(r.pruned) < pruneInterval {
		return
	}
	r.pruned = now
	for key, end := range r.known {
		if end.ended(now) {
			delete(r.known, key)
		}
	}
}

// outdate makes the next token ask the source.
func (r *revocations) outdate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded = time.Time{}
	r.writes++
}

// check refuses an identity that is revoked.
func (r *revocations) check(ctx context.Context, id Identity, now time.Time) error {
	if err := r.current(ctx, now); err != nil {
		return err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if len(r.known) == 0 {
		return nil
	}
	find := func(kind core.RevocationKind, value string) (revocationEnd, bool) {
		end, ok := r.known[keyOf(id.Org, kind, value)]
		return end, ok && !end.ended(now)
	}
	if _, ok := find(core.RevokedHash, id.TokenHash); ok {
		return refuse("the token was revoked")
	}
	if _, ok := find(core.RevokedToken, id.TokenID); ok && id.TokenID != "" {
		return refuse("the token was revoked")
	}
	// A token that does not say when it was issued may be from before.
	end, ok := find(core.RevokedSubject, id.Subject)
	if ok && (id.IssuedAt.IsZero() || id.IssuedAt.UnixMicro() <= end.issuedBefore) {
		return refuse("tokens of this subject that were issued until %s are revoked", time.UnixMicro(end.issuedBefore).UTC().Format(time.RFC3339))
	}
	return nil
}
