package githubapp

import (
	"context"
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
		// GitHub refuses tokens from the future, and clocks differ. It
		// takes ten minutes of life at most.
		IssuedAt: jwt.NewNumericDate(now.Add(-time.Minute)),
		Expiry:   jwt.NewNumericDate(now.Add(8 * time.Minute)),
	}).Serialize()
	if err != nil {
		return session{}, providers.Errorf(providers.CodeInvalidConfig, "the private key of the GitHub App cannot sign")
	}
	return session{app: a, api: client.WithAuthToken(signed), place: place, signed: providers.Secret(signed)}, nil
}

// lookup is one way to ask for an installation.
type lookup func() (*api.Installation, *api.Response, error)

// find returns the installation of the App that covers the repository.
func (s session) find(ctx context.Context, id int64) (*api.Installation, forge.Answer, error) {
	var found *api.Installation
	var answer forge.Answer
	var err error
	for _, ask := range s.lookups(ctx, id) {
		var response *api.Response
		begin := time.Now()
		found, response, err = ask()
		answer = github.Answer(response, begin)
		if err == nil {
			break
		}
		err = github.Error(ctx, s.place, answer, err, s.signed)
		if !isGone(err) {
			break
		}
	}
	if err != nil {
		return nil, answer, s.explain(err)
	}
	if found.SuspendedAt != nil {
		return nil, answer, providers.Errorf(providers.CodeRevoked,
			"the GitHub App is suspended for %s: its owner can unsuspend it in the installation's settings at %s", s.place.Owner, s.place.Host)
	}
	return found, answer, nil
}

// lookups returns the ways to find the installation, best first; the next is
// for a repository that is not where it was.
func (s session) lookups(ctx context.Context, id int64) []lookup {
	if s.installation != 0 {
		return []lookup{func() (*api.Installation, *api.Response, error) {
			return s.api.Apps.GetInstallation(ctx, s.installation)
		}}
	}
	ways := []lookup{func() (*api.Installation, *api.Response, error) {
		return s.api.Apps.FindRepositoryInstallation(ctx, s.place.Owner, s.place.Name)
	}}
	if id != 0 {
		// GitHub has this route but does not document it, so it comes last.
		ways = append(ways, func() (*api.Installation, *api.Response, error) {
			return s.api.Apps.FindRepositoryInstallationByID(ctx, id)
		})
	}
	return ways
}

// isGone reports whether the host has nothing at a path, or has moved it.
func isGone(err error) bool {
	var e *providers.Error
	return errors.As(err, &e) && (e.Code == providers.CodeNotFound || e.HTTPStatus/100 == 3)
}

// explain says what to do about the refusals that an App meets.
func (s session) explain(err error) error {
	var e *providers.Error
	if !errors.As(err, &e) {
		return err
	}
	advise := func(code providers.Code, format string, args ...any) error {
		advice := providers.Errorf(code, format, args...)
		advice.HTTPStatus = e.HTTPStatus
		return advice
	}
	switch {
	case e.Code == providers.CodeUnauthenticated:
		return advise(providers.CodeInvalidConfig, "%s; check app_id, the private key and the clock of this machine", e.Message)
	case e.Code == providers.CodeNotFound && s.installation != 0:
		return advise(providers.CodeInvalidConfig, "the GitHub App has no installation %d at %s: correct or remove installation_id",
			s.installation, s.place.Host)
	case e.Code == providers.CodeNotFound:
		return advise(providers.CodePermissionDenied,
			"the GitHub App is not installed for %s at %s, or there is no such repository: install the App on %s and give it access to the repository",
			s.place.Path(), s.place.Host, s.place.Owner)
	case e.HTTPStatus == http.StatusUnprocessableEntity:
		return advise(providers.CodePermissionDenied,
			"the installation of the GitHub App on %s does not include %s with the permissions needed: add it in the installation's settings",
			s.place.Owner, s.place.Path())
	}
	return err
}

// mint asks for a token for exactly one repository.
func (a *app) mint(ctx context.Context, c *http.Client, place forge.Place, key tokenKey) (installationToken, error) {
	s, err := a.session(c, place)
	if err != nil {
		return installationToken{}, err
	}
	installation, _, err := s.find(ctx, key.id)
	if err != nil {
		return installationToken{}, err
	}
	return s.mintAt(ctx, installation, key)
}

// mintAt asks an installation for a token.
func (s session) mintAt(ctx context.Context, at *api.Installation, key tokenKey) (installationToken, error) {
	granted := at.GetPermissions()
	if key.push && granted != nil && granted.GetContents() != "write" {
		return installationToken{}, providers.Errorf(providers.CodePermissionDenied,
			"the GitHub App may not push to %s: give it the repository permission Contents: read and write, and accept that on %s",
			s.place.Path(), s.place.Owner)
	}
	options := &api.InstallationTokenOptions{
		Permissions: &api.InstallationPermissions{Contents: api.String("read"), Metadata: api.String("read")},
	}
	if key.push {
		options.Permissions.Contents = api.String("write")
		// Asking for more than is granted fails, and without it only pushes
		// that touch workflow files do.
		if granted.GetWorkflows() == "write" {
			options.Permissions.Workflows = api.String("write")
		}
	}
	if key.id != 0 {
		options.RepositoryIDs = []int64{key.id}
	} else {
		options.Repositories = []string{s.place.Name}
	}
	begin := time.Now()
	made, response, err := s.api.Apps.CreateInstallationToken(ctx, at.GetID(), options)
	if err != nil {
		return installationToken{}, s.explain(github.Error(ctx, s.place, github.Answer(response, begin), err, s.signed))
	}
	return installationToken{secret: providers.Secret(made.GetToken()), expires: made.GetExpiresAt().Time}, nil
}

// visit is what the App sees of a repository.
type visit struct {
	repository *api.Repository
	mayPush    bool
	answer     forge.Answer
}

// visit asks the host about a repository.
func (p *Provider) visit(ctx context.Context, a *app, place forge.Place, id int64) (visit, error) {
	httpClient := p.HTTPClient(place.Policy)
	s, err := a.session(httpClient, place)
	if err != nil {
		return visit{}, err
	}
	installation, answer, err := s.find(ctx, id)
	if err != nil {
		return visit{answer: answer}, err
	}
	token, err := s.mintAt(ctx, installation, tokenKey{id: id})
	if err != nil {
		return visit{answer: answer}, err
	}
	reader, err := github.Client(httpClient, place)
	if err != nil {
		return visit{}, err
	}
	repository, answer, err := github.Repository(ctx, reader.WithAuthToken(token.secret.Reveal()), place, id, token.secret)
	return visit{
		repository: repository,
		mayPush:    installation.GetPermissions().GetContents() == "write",
		answer:     answer,
	}, err
}
