package access

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

var start = time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC)

// movableClock is a clock that tests set.
type movableClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *movableClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *movableClock) After(time.Duration) <-chan time.Time { return nil }

func (c *movableClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// keyTable is a KeySource in memory.
type keyTable struct {
	mu    sync.Mutex
	keys  map[string][]core.Key
	err   error
	asked int
}

func (k *keyTable) Keys(_ context.Context, org string) ([]core.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	if k.err != nil {
		return nil, k.err
	}
	keys, ok := k.keys[org]
	if !ok {
		return nil, core.Errorf(core.KindNotFound, "no such organisation")
	}
	return append([]core.Key(nil), keys...), nil
}

// setup is a verifier with the organisation "acme" and one ES256 key.
type setup struct {
	*Verifier
	clock  *movableClock
	table  *keyTable
	signer PrivateKey
}

func newSetup(t *testing.T) *setup {
	t.Helper()
	s := &setup{clock: &movableClock{now: start}, table: &keyTable{keys: map[string][]core.Key{}}}
	s.signer = s.addKey(t, "acme", newECKey(t))
	s.Verifier = NewVerifier(s.table, s.clock)
	return s
}

// addKey registers the public half of the key.
func (s *setup) addKey(t *testing.T, org string, key PrivateKey) PrivateKey {
	t.Helper()
	public, err := key.PublicPEM()
	require.NoError(t, err)
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	s.table.keys[org] = append(s.table.keys[org], core.Key{
		ID: core.NewID("key", start), Org: org, Algorithm: key.Algorithm(), PublicPEM: string(public), CreatedAt: start,
	})
	return key
}

func newECKey(t *testing.T) PrivateKey {
	t.Helper()
	private, _, err := GenerateES256()
	require.NoError(t, err)
	key, err := ParsePrivateKey(private)
	require.NoError(t, err)
	return key
}

// privatePEM encodes any private key in PKCS#8.
func privatePEM(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func publicPEM(t *testing.T, key crypto.PublicKey) []byte {
	t.Helper()
	text, err := encodePublicKey(key)
	require.NoError(t, err)
	return text
}

func newRSA(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	require.NoError(t, err)
	return key
}

func newEd25519(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

func newCurve(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	return key
}

// claims are those of a good token.
func claims() Claims {
	return Claims{Issuer: "acme", Subject: "ci", Repo: "team/app", Scopes: []Scope{GitWrite},
		IssuedAt: start, ExpiresAt: start.Add(time.Hour)}
}

func sign(t *testing.T, key PrivateKey, c Claims) string {
	t.Helper()
	token, err := Sign(key, c)
	require.NoError(t, err)
	return token
}
