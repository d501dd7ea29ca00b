package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/headwater-git/headwater/core/access"
)

const (
	// callTokenLife is how long the token of one API call lives. It also
	// covers clocks that differ a little.
	callTokenLife = 5 * time.Minute
	// callTimeout bounds one API call; creating a repository may ask the host.
	callTimeout = 2 * time.Minute
	// maxAnswer bounds what is read of an answer.
	maxAnswer = 16 << 20
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
	return &client{base: base, sign: sign, http: &http.Client{
		Transport: transport,
		Timeout:   callTimeout,
		// The token in the header is for this server alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
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
	base *url.URL
	sign *signer
	http *http.Client
}

// apiCall is one call: what is sent, and the grant it needs.
type apiCall struct {
	method string
	path   []string // segments; each is escaped
	query  url.Values
	repo   string // the repo claim
	scopes []access.Scope
	body   any // nil: none
}

// apiError is an answer that is not 2xx.
type apiError struct {
	status     int
	text       string
	retryAfter string
	body       []byte
	call       apiCall
}

// Error returns the server's own words.
func (e *apiError) Error() string { return e.text }

// textNoUpstream is in the answer to a call that needs a synced repository and
// names a local one.
const textNoUpstream = "no upstream configured for this repository"

// repo is the repository that the call was about, or a word for one.
func (e *apiError) repo() string {
	if e.call.repo == orgClaim {
		return "NAME"
	}
	return e.call.repo
}

// list is the command that lists what the call did not find.
func (e *apiError) list() string {
	switch {
	case slices.Contains(e.call.path, "webhooks"):
		return "headwater webhook list"
	case len(e.call.path) > 4 && e.call.path[3] == "rewrites":
		return "headwater rewrite list " + e.repo()
	}
	return "headwater repo list"
}

// isStatus reports whether err is an answer of the API with the HTTP status.
func isStatus(err error, status int) bool {
	e, ok := errors.AsType[*apiError](err)
	return ok && e.status == status
}

// do sends the call and decodes a 2xx answer into out unless that is nil.
// Errors: *apiError for what the server says; stepError when it cannot be reached.
func (c *client) do(ctx context.Context, call apiCall, out any) error {
	token, err := c.sign.token(grant{repo: call.repo, scopes: call.scopes, life: callTokenLife})
	if err != nil {
		return err
	}
	var body io.Reader
	if call.body != nil {
		b, err := json.Marshal(call.body)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	escaped := make([]string, len(call.path))
	for i, segment := range call.path {
		escaped[i] = url.PathEscape(segment)
	}
	target := c.base.JoinPath(escaped...)
	target.RawQuery = call.query.Encode()
	req, err := http.NewRequestWithContext(ctx, call.method, target.String(), body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "headwater/"+version())
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var cause *url.Error
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return wrapf(err, "check that it runs (headwater serve) and that --server and --ca-file are right", "cannot reach the server at %s", c.base)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the server's answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return &apiError{status: resp.StatusCode, text: errorText(resp, answer), retryAfter: resp.Header.Get("Retry-After"), body: answer, call: call}
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return wrapf(err, "check that --server is a Headwater server of this version", "cannot read the answer of %s", c.base)
	}
	return nil
}

// errorText is the sentence of an error answer.
func errorText(resp *http.Response, body []byte) string {
	var problem struct {
		Error  string `json:"error"`
		Detail string `json:"detail"`
	}
	if json.Unmarshal(body, &problem) == nil {
		if problem.Error != "" {
			return problem.Error
		}
		if problem.Detail != "" {
			return problem.Detail
		}
	}
	return "the server answered " + resp.Status
}

// explain gives an API error its next step. Other errors pass unchanged.
func (c *client) explain(err error, doing string) error {
	var e *apiError
	if !errors.As(err, &e) {
		return err
	}
	next := "see the server's log for the request"
	switch e.status {
	case http.StatusUnauthorized:
		next = "check --org and --key: the server must know the public key (headwater org key list)"
	case http.StatusForbidden:
		next = "use a key whose organisation owns the repository"
	case http.StatusNotFound:
		next = "see what exists: " + e.list()
	case http.StatusConflict:
		next = "see its state: headwater repo show " + e.repo()
	case http.StatusPreconditionFailed:
		next = "configure the provider in providers.hcl, then check it: headwater provider check"
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		next = "change what the message says; --help has examples"
		if strings.Contains(e.text, textNoUpstream) {
			next = "link it to one: headwater repo attach " + e.repo() + " URL"
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		next = "try again later"
		if e.retryAfter != "" {
			next = "try again in " + e.retryAfter + " s"
		}
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		next = "check that the host can be reached from the server, then try again"
	}
	return wrapf(err, next, "%s", doing)
}
