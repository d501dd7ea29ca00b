package access

import (
	"bytes"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/core"
)

func TestParsePublicKey_pinsTheAlgorithm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, want string
		pem        []byte
	}{
		{"EC P-256", "ES256", publicPEM(t, newCurve(t, elliptic.P256()).Public())},
		{"RSA 2048", "RS256", publicPEM(t, newRSA(t, 2048).Public())},
		{"Ed25519", "EdDSA", publicPEM(t, newEd25519(t).Public())},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, text := range [][]byte{tt.pem, append([]byte("a comment\n"), tt.pem...), append(tt.pem, "\n \n"...)} {
				alg, normal, err := ParsePublicKey(text)
				require.NoError(t, err)
				require.Equal(t, tt.want, alg)
				require.Equal(t, string(tt.pem), normal)
			}
		})
	}
}

func TestParsePublicKey_refuses(t *testing.T) {
	t.Parallel()
	good := publicPEM(t, newCurve(t, elliptic.P256()).Public())
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	for _, tt := range []struct {
		name, want string
		pem        []byte
	}{
		{"empty", "no key in PEM form", nil},
		{"not PEM", "no key in PEM form", []byte("ssh-ed25519 AAAA")},
		{"two keys", "more than one key", append(bytes.Clone(good), good...)},
		{"private key", "this is a private key", privatePEM(t, newEd25519(t))},
		{"certificate", `"CERTIFICATE"`, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})},
		{"garbage inside", "cannot be read", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte{1}})},
		{"P-384", "only P-256", publicPEM(t, newCurve(t, elliptic.P384()).Public())},
		{"RSA 1024", "1024 bits", publicPEM(t, newRSA(t, 1024).Public())},
		{"X25519", "not supported", publicPEM(t, x25519.Public())},
		{"only parameters", "no key in PEM form", pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{1}})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := ParsePublicKey(tt.pem)
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, core.KindInvalid, core.KindOf(err))
		})
	}
}

func TestParsePrivateKey_readsEveryForm(t *testing.T) {
	t.Parallel()
	ec, rsa := newCurve(t, elliptic.P256()), newRSA(t, 2048)
	sec1, err := x509.MarshalECPrivateKey(ec)
	require.NoError(t, err)
	sec1PEM := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})
	// What openssl ecparam -name prime256v1 -genkey prints before the key.
	parameters := pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}})
	for _, tt := range []struct {
		name, want string
		pem        []byte
	}{
		{"PKCS#8 EC", "ES256", privatePEM(t, ec)},
		{"PKCS#8 RSA", "RS256", privatePEM(t, rsa)},
		{"PKCS#8 Ed25519", "EdDSA", privatePEM(t, newEd25519(t))},
		{"SEC1", "ES256", sec1PEM},
		{"SEC1 after parameters", "ES256", append(parameters, sec1PEM...)},
		{"PKCS#1", "RS256", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsa)})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key, err := ParsePrivateKey(tt.pem)
			require.NoError(t, err)
			require.Equal(t, tt.want, key.Algorithm())
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
				require.Equal(t, "[redacted]", fmt.Sprintf(verb, key))
			}

			s := newSetup(t)
			s.addKey(t, "acme", key)
			id, err := s.Verify(t.Context(), sign(t, key, claims()))
			require.NoError(t, err)
			require.Equal(t, "acme", id.Org)
		})
	}
}

func TestParsePrivateKey_refuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, want string
		pem        []byte
	}{
		{"empty", "no key in PEM form", nil},
		{"public key", `"PUBLIC KEY"`, publicPEM(t, newEd25519(t).Public())},
		{"encrypted", `"ENCRYPTED PRIVATE KEY"`, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}})},
		{"garbage inside", "cannot be read", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})},
		{"P-521", "only P-256", privatePEM(t, newCurve(t, elliptic.P521()))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParsePrivateKey(tt.pem)
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, core.KindInvalid, core.KindOf(err))
		})
	}
}

func TestGenerateES256_givesAPair(t *testing.T) {
	t.Parallel()
	private, public, err := GenerateES256()
	require.NoError(t, err)
	require.Contains(t, string(private), "BEGIN PRIVATE KEY")
	key, err := ParsePrivateKey(private)
	require.NoError(t, err)
	half, err := key.PublicPEM()
	require.NoError(t, err)
	require.Equal(t, string(public), string(half))
}
