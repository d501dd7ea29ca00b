package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core"
	"github.com/headwater-git/headwater/core/access"
	rest "github.com/headwater-git/headwater/server/client"
)

const (
	// callTokenLife is how long the token of one API call lives. It also
	// covers clocks that differ a little.
	callTokenLife = 5 * time.Minute
	// callTimeout bounds one API call; creating a repository may ask the host.
	callTimeout = 2 * time.Minute
)

// orgClaim is the repo claim of calls that concern the whole organisation.
const orgClaim = "org"

// connectOptions are the flags that find the server and sign for it.
type connectOptions struct {
	data, server, org, key, caFile string
}

// bindConnect adds the flags of a client command.
func bindConnect(cmd *cobra.Command, o *connectOptions) {
	f := cmd.Flags()
	bindDataDir(f, &o.data)
	f.StringVar(&o.server, "server", "", "base URL of the server (default: the one that runs on --data)")
	f.StringVar(&o.org, "org", localOrg, "organisation to act for")
	f.StringVar(&o.key, "key", "", "PEM private key of --org (default: DIR/keys/local.pem)")
	f.StringVar(&o.caFile, "ca-file", "", "PEM file to trust for HTTPS (default: DIR/tls/ca.pem, if it exists)")
}

// signer returns what signs tokens under these flags.
func (o connectOptions) signer() (*signer, error) {
	dir, err := o.dir()
	if err != nil {
		return nil, err
	}
	file := o.key
	if file == "" {
		if o.org != localOrg {
			return nil, usagef("add --key FILE with the private key of "+o.org, "no key given for the organisation %q", o.org)
		}
		file = dir.keyFile()
	}
	return loadSigner(o.org, file)
}

// dir returns the data directory as an absolute path.
func (o connectOptions) dir() (dataDir, error) {
	abs, err := filepath.Abs(o.data)
	return dataDir(abs), err
}

// base returns the server's base URL.
func (o connectOptions) base() (*url.URL, error) {
	address := o.server
	if address == "" {
		dir, err := o.dir()
		if err != nil {
			return nil, err
		}
		if address, err = dir.address(); err != nil {
			return nil, err
		}
	}
	u, err := url.Parse(strings.TrimSuffix(address, "/"))
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil {
		return nil, usagef("give a base URL, like --server https://git.example.com", "the server address is not an http or https URL")
	}
	return u, nil
}

// connect returns a client for the server that the flags name. It does not
// contact it yet.
func (o connectOptions) connect() (*client, error) {
	base, err := o.base()
	if err != nil {
		return nil, err
	}
	sign, err := o.signer()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if transport.TLSClientConfig, err = o.trust(); err != nil {
		return nil, err
	}
	return newClient(base, sign, &http.Client{
		Transport: transport,
		Timeout:   callTimeout,
		// The token in the header is for this server alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
}

// trust returns the TLS settings: the system's authorities and the given file.
func (o connectOptions) trust() (*tls.Config, error) {
	dir, err := o.dir()
	if err != nil {
		return nil, err
	}
	file := o.caFile
	if file == "" {
		file = dir.caFile()
		if _, err := os.Stat(file); err != nil {
			return nil, nil
		}
	}
	pemBytes, err := os.ReadFile(file)
	if err != nil {
		return nil, wrapf(err, "check --ca-file", "read the authority to trust")
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pemBytes) {
		return nil, failf("give a PEM file with certificates", "%q holds no certificate", file)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// client calls the API of one server for one organisation.
type client struct {
	*rest.API
	base *url.URL
	sign *signer
	http *http.Client
}

// newClient returns a client of the server at base.
func newClient(base *url.URL, sign *signer, transport *http.Client) (*client, error) {
	c := &client{base: base, sign: sign, http: transport}
	var err error
	c.API, err = rest.New(base.String(), rest.WithHTTPClient(reaching{c}))
	return c, err
}

// as signs a call with a token for a repository, or for orgClaim, that has one
// scope.
func (c *client) as(repo string, scope access.Scope) rest.RequestEditorFn {
	return c.asAny(repo, []access.Scope{scope})
}

// asAny is as with several scopes.
func (c *client) asAny(repo string, scopes []access.Scope) rest.RequestEditorFn {
	return func(_ context.Context, r *http.Request) error {
		token, err := c.sign.token(grant{repo: repo, scopes: scopes, life: callTokenLife})
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("User-Agent", "headwater/"+version())
		return nil
	}
}

// reaching sends requests and says what to do when the server cannot be reached.
type reaching struct{ *client }

// Do implements [rest.HttpRequestDoer].
func (c reaching) Do(r *http.Request) (*http.Response, error) {
	resp, err := c.http.Do(r)
	if err == nil {
		return resp, nil
	}
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	if cause, ok := errors.AsType[*url.Error](err); ok {
		err = cause.Err
	}
	return nil, wrapf(err, "check that it runs (headwater serve) and that --server and --ca-file are right", "cannot reach the server at %s", c.base)
}

// textNoUpstream is in the answer to a call that needs a synced repository and
// names a local one.
const textNoUpstream = "no upstream configured for this repository"

// repoOf returns the repository that a call was about, or a word for one.
func repoOf(e *rest.Error) string {
	if below, ok := strings.CutPrefix(e.Path, "/api/repos/"); ok {
		segment, _, _ := strings.Cut(below, "/")
		if name, err := url.PathUnescape(segment); err == nil {
			return name
		}
	}
	return "NAME"
}

// listOf returns the command that lists what a call did not find.
func (c *client) listOf(e *rest.Error) string {
	under := func(path string) bool { return e.Path == path || strings.HasPrefix(e.Path, path+"/") }
	switch {
	case under("/api/webhooks"):
		return "headwater webhook list"
	case under("/api/credentials"):
		return "headwater credential list"
	case under("/api/mirror-sets"):
		return "headwater mirror-set list"
	case under("/api/keys"), under("/api/revocations"), under("/api/tokens"):
		return "headwater org key list " + core.ShellArg(c.sign.org)
	case strings.Contains(e.Path, "/rewrites/"): // a slash of a name is escaped
		return "headwater rewrite list " + core.ShellArg(repoOf(e))
	}
	return "headwater repo list"
}

// isStatus reports whether err is an answer of the API with the HTTP status.
func isStatus(err error, status int) bool {
	e, ok := errors.AsType[*rest.Error](err)
	return ok && e.Status == status
}

// optional is a text of a request that is left out if it is empty.
func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// explain gives an API error its next step. Other errors pass unchanged.
func (c *client) explain(err error, doing string) error {
	if _, ok := errors.AsType[*rest.DecodeError](err); ok {
		return wrapf(err, "check that --server is a Headwater server of this version", "cannot read the answer of %s", c.base)
	}
	e, ok := errors.AsType[*rest.Error](err)
	if !ok {
		return err
	}
	next := "see the server's log for the request"
	switch e.Status {
	case http.StatusUnauthorized:
		next = "check --org and --key: the server must know the public key (headwater org key list)"
	case http.StatusForbidden:
		next = "use a key whose organisation owns the repository"
		if strings.Contains(e.Message, "headwater ") {
			next = "run the command that the message names"
		}
	case http.StatusNotFound:
		next = "see what exists: " + c.listOf(e)
	case http.StatusConflict:
		next = "see its state: headwater repo show " + core.ShellArg(repoOf(e))
	case http.StatusRequestEntityTooLarge:
		next = "make it smaller, or make room: headwater repo list --sort size"
	case http.StatusPreconditionFailed:
		next = "set up what the message says, at the host or in providers.hcl; for the latter: headwater provider check"
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		next = "change what the message says; --help has examples"
		if strings.Contains(e.Message, textNoUpstream) {
			next = "link it to one: headwater repo attach " + core.ShellArg(repoOf(e)) + " URL"
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		next = "try again later"
		if e.RetryAfter != "" {
			next = "try again in " + e.RetryAfter + " s"
		}
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		next = "check that the host can be reached from the server, then try again"
	}
	return wrapf(err, next, "%s", doing)
}
