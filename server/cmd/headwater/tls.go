package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/headwater-git/headwater/core/durable"
)

const (
	// selfSignedLife is the longest that common TLS clients accept.
	selfSignedLife = 825 * 24 * time.Hour
	// selfSignedMargin is how long before its end a certificate is replaced.
	selfSignedMargin = 30 * 24 * time.Hour
)

// tlsFiles names a certificate and its key.
type tlsFiles struct{ cert, key string }

// selfSigned returns a certificate for this machine's loopback names in
// dir/{cert,key,ca}.pem, which it makes if it is missing or about to expire.
//
// The authority signs one certificate and its key is then forgotten, so a
// client that trusts ca.pem trusts that one certificate and nothing else.
func selfSigned(dir string, now time.Time) (tlsFiles, error) {
	files := tlsFiles{cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	if usable(files, now) {
		return files, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return tlsFiles{}, err
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tlsFiles{}, err
	}
	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: "Headwater local authority"},
		NotBefore:             now.Add(-time.Hour), // clocks of other machines may be behind
		NotAfter:              now.Add(selfSignedLife),
		IsCA:                  true,
		MaxPathLenZero:        true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return tlsFiles{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tlsFiles{}, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano() + 1),
		Subject:      pkix.Name{CommonName: "localhost"},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return tlsFiles{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return tlsFiles{}, err
	}
	for _, f := range []struct {
		path, kind string
		der        []byte
		mode       os.FileMode
	}{
		{files.key, "PRIVATE KEY", keyDER, 0o600},
		{filepath.Join(dir, "ca.pem"), "CERTIFICATE", caDER, 0o644},
		{files.cert, "CERTIFICATE", leafDER, 0o644}, // last: usable looks at it first
	} {
		if err := durable.ReplaceFile(f.path, pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der}), f.mode); err != nil {
			return tlsFiles{}, err
		}
	}
	return files, nil
}

// usable reports whether the pair exists, fits together and stays valid for a while.
func usable(f tlsFiles, now time.Time) bool {
	pair, err := tls.LoadX509KeyPair(f.cert, f.key)
	return err == nil && pair.Leaf != nil && now.Add(selfSignedMargin).Before(pair.Leaf.NotAfter)
}
