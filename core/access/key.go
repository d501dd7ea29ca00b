package access

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/headwater-git/headwater/core"
)

// minRSABits is the least size of an RSA key, as RFC 7518 section 3.3 demands.
const minRSABits = 2048

// algorithms are the signature algorithms there are; no other reaches a key.
var algorithms = []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.EdDSA}

// algorithmOf returns the one algorithm that a public key is pinned to.
func algorithmOf(key crypto.PublicKey) (jose.SignatureAlgorithm, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return "", core.Errorf(core.KindInvalid, "the elliptic curve of the key is %s; only P-256 is supported", k.Curve.Params().Name)
		}
		return jose.ES256, nil
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSABits {
			return "", core.Errorf(core.KindInvalid, "the RSA key has %d bits; at least %d are needed", k.N.BitLen(), minRSABits)
		}
		return jose.RS256, nil
	case ed25519.PublicKey:
		return jose.EdDSA, nil
	}
	return "", core.Errorf(core.KindInvalid, "the kind of key is not supported; use EC P-256, RSA or Ed25519")
}

// ParsePublicKey reads a public key in PEM (SPKI, "BEGIN PUBLIC KEY") and
// returns the algorithm of its tokens and the key in normal form. It takes EC
// P-256 (ES256), RSA of at least 2048 bits (RS256) and Ed25519 (EdDSA). Errors
// are KindInvalid and say what to do.
func ParsePublicKey(pemText []byte) (alg string, spkiPEM string, err error) {
	key, a, err := parsePublicKey(pemText)
	if err != nil {
		return "", "", err
	}
	normal, err := encodePublicKey(key)
	if err != nil {
		return "", "", err
	}
	return string(a), string(normal), nil
}

func parsePublicKey(pemText []byte) (crypto.PublicKey, jose.SignatureAlgorithm, error) {
	block, err := onlyBlock(pemText)
	if err != nil {
		return nil, "", err
	}
	switch {
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, "", core.Errorf(core.KindInvalid,
			"this is a private key; register the public one, which openssl pkey -in KEY.pem -pubout prints")
	case block.Type != "PUBLIC KEY":
		return nil, "", core.Errorf(core.KindInvalid, `the PEM block is %q; a public key reads "BEGIN PUBLIC KEY"`, block.Type)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, "", &core.Error{Kind: core.KindInvalid, Message: "the public key cannot be read", Err: err}
	}
	alg, err := algorithmOf(key)
	return key, alg, err
}

// onlyBlock returns the PEM block of a text that holds exactly one. EC
// parameters, which openssl ecparam -genkey writes before the key, do not count.
func onlyBlock(pemText []byte) (*pem.Block, error) {
	block, rest := pem.Decode(pemText)
	if block != nil && block.Type == "EC PARAMETERS" {
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, core.Errorf(core.KindInvalid, "this is no key in PEM form")
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, core.Errorf(core.KindInvalid, "there is more than one key in the text; give one at a time")
	}
	return block, nil
}

func encodePublicKey(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// GenerateES256 makes a key pair for ES256, as PEM in PKCS#8 and SPKI, the
// forms that the SDKs and [ParsePublicKey] read.
func GenerateES256() (privatePKCS8PEM, publicSPKIPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generate key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode private key: %w", err)
	}
	public, err := encodePublicKey(key.Public())
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), public, nil
}

// PrivateKey signs tokens. Printing one gives "[redacted]".
type PrivateKey struct {
	algorithm jose.SignatureAlgorithm
	signer    crypto.Signer
}

var _ fmt.Formatter = PrivateKey{}

// Format writes "[redacted]" for every verb.
func (PrivateKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// Algorithm returns ES256, RS256 or EdDSA.
func (k PrivateKey) Algorithm() string { return string(k.algorithm) }

// PublicPEM returns the public half as [ParsePublicKey] reads it.
func (k PrivateKey) PublicPEM() ([]byte, error) { return encodePublicKey(k.signer.Public()) }

// ParsePrivateKey reads an unencrypted private key in PEM: PKCS#8 ("BEGIN
// PRIVATE KEY"), SEC1 ("BEGIN EC PRIVATE KEY") or PKCS#1 ("BEGIN RSA PRIVATE
// KEY"). The kinds of key are those of [ParsePublicKey]. Errors are KindInvalid.
func ParsePrivateKey(pemText []byte) (PrivateKey, error) {
	block, err := onlyBlock(pemText)
	if err != nil {
		return PrivateKey{}, err
	}
	var key any
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return PrivateKey{}, core.Errorf(core.KindInvalid, "the PEM block is %q; it must be an unencrypted private key", block.Type)
	}
	if err != nil {
		return PrivateKey{}, &core.Error{Kind: core.KindInvalid, Message: "the private key cannot be read", Err: err}
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return PrivateKey{}, core.Errorf(core.KindInvalid, "this kind of key cannot sign")
	}
	alg, err := algorithmOf(signer.Public())
	if err != nil {
		return PrivateKey{}, err
	}
	return PrivateKey{algorithm: alg, signer: signer}, nil
}
