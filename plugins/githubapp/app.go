package githubapp

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	api "github.com/google/go-github/v62/github"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/plugins/internal/github"
	"github.com/headwater-git/headwater/providers"
)

// attributes are those of the block in providers.hcl.
type attributes struct {
	AppID          int64            `json:"app_id"`
	PrivateKeyFile string           `json:"private_key_file"`
	PrivateKey     providers.Secret `json:"private_key"`
	InstallationID int64            `json:"installation_id"`
}

// app is a configured GitHub App.
type app struct {
	id           int64
	installation int64 // 0: looked up for each repository
	signer       jose.Signer
}

// newApp checks the attributes. It returns nil without an error when none is
// set. Errors: [providers.CodeInvalidConfig], naming the attribute.
func newApp(a attributes) (*app, error) {
	bad := func(format string, args ...any) (*app, error) {
		return nil, providers.Errorf(providers.CodeInvalidConfig, format, args...)
	}
	switch {
	case a == attributes{}:
		return nil, nil
	case a.AppID <= 0:
		return bad("app_id must be set to the id of the GitHub App, a positive number")
	case a.InstallationID < 0:
		return bad("installation_id must be a positive number")
	case a.PrivateKey != "" && a.PrivateKeyFile != "":
		return bad("private_key and private_key_file exclude each other: set one")
	case a.PrivateKey == "" && a.PrivateKeyFile == "":
		return bad("private_key_file must be set to a PEM file with a private key of the GitHub App")
	}
	name, text := "private_key", []byte(a.PrivateKey.Reveal())
	if a.PrivateKeyFile != "" {
		name = "private_key_file"
		var err error
		if text, err = os.ReadFile(a.PrivateKeyFile); err != nil {
			return bad("private_key_file cannot be read: %v", err)
		}
	}
	key, err := parseKey(text)
	if err != nil {
		return bad("%s does not hold an RSA private key in PEM: %v", name, err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return bad("%s cannot be used: %v", name, err)
	}
	return &app{id: a.AppID, installation: a.InstallationID, signer: signer}, nil
}

// parseKey reads a key as GitHub hands it out (PKCS#1) or as openssl converts
// it (PKCS#8). Its errors quote nothing of the text.
func parseKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it has no PEM block")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the PEM block is no private key")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the key is of another kind")
	}
	return key, nil
}

// session is the App speaking for itself about one place.
type session struct {
	*app
	http   *http.Client
	api    *api.Client
	place  forge.Place
	signed providers.Secret // the App's JWT
}

// session signs in.
func (a *app) session(c *http.Client, place forge.Place) (session, error) {
	client, err := github.Client(c, place)
	if err != nil {
		return session{}, err
	}
	now := time.Now()
	signed, err := jwt.Signed(a.signer).Claims(jwt.Claims{
		Issuer: strconv.FormatInt(a.id, 10),
		// GitHub refuses tokens from the future and those that live longer
		// than ten minutes by its clock, and clocks differ.
		IssuedAt: jwt.NewNumericDate(now.Add(-time.Minute)),
		Expiry:   jwt.NewNumericDate(now.Add(8 * time.Minute)),
	}).Serialize()
	if err != nil {
		return session{}, providers.Errorf(providers.CodeInvalidConfig, "the private key of the GitHub App cannot sign")
	}
	return session{app: a, http: c, api: client.WithAuthToken(signed), place: place, signed: providers.Secret(signed)}, nil
}
