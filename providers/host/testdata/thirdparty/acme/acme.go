// Package acme is the provider of an imaginary host: repositories at
// https://HOST/OWNER/NAME.git behind HTTP basic authentication, and no API.
package acme

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/netguard"
)

// defaultUser is the user name for a credential that is a token alone.
const defaultUser = "acme"

// Provider is the provider. Make one with New.
type Provider struct {
	mu      sync.Mutex
	cfg     providers.Config
	attrs   attributes
	clients map[string]*http.Client // by host
}

var _ providers.Provider = (*Provider)(nil)

// attributes are those of the block in providers.hcl.
type attributes struct {
	Token string `json:"token"`
	misbehaviour
}

// New returns a provider that waits for Configure.
func New() providers.Provider { return &Provider{clients: map[string]*http.Client{}} }

// Manifest implements the contract.
func (p *Provider) Manifest() providers.Manifest {
	return providers.Manifest{
		Name:            "acme",
		Version:         "1.0.0",
		ContractVersion: providers.ContractVersion,
		Description:     "Acme code hosting",
		WireNames:       []string{"acme"},
		Mode:            providers.ModeGeneric,
		Capabilities: providers.Capabilities{
			PushHTTPS:      true,
			AtomicPush:     true,
			PushOptions:    true,
			Webhooks:       true,
			AnonymousFetch: true,
		},
		Attributes: []providers.Attribute{
			{Name: "token", Type: "string", Sensitive: true, Doc: "Token for repositories without a stored credential."},
			{Name: "misbehave", Type: "string", Doc: "What to do wrong: a fault of misbehave.go."},
			{Name: "marker", Type: "string", Doc: "File that a fault leaves behind."},
		},
		WebhookHeaders:      []string{"X-Gitea-Event", "X-Gitea-Delivery", "X-Gitea-Signature"},
		ExcludedRefPrefixes: []string{"refs/pull/"},
	}
}

// Configure implements the contract.
func (p *Provider) Configure(_ context.Context, c providers.Config) error {
	var attrs attributes
	if len(c.Attributes) > 0 {
		d := json.NewDecoder(bytes.NewReader(c.Attributes))
		d.DisallowUnknownFields()
		err := d.Decode(&attrs)
		var wrong *json.UnmarshalTypeError
		switch {
		case errors.As(err, &wrong):
			return providers.Errorf(providers.CodeInvalidConfig, "attribute %q must be a string", wrong.Field)
		case err != nil:
			return providers.Errorf(providers.CodeInvalidConfig, "the attributes cannot be read: %v", err)
		}
	}
	if err := attrs.configure(attrs.Token); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cfg, p.attrs = c, attrs
	return nil
}

// configured returns what Configure was given.
func (p *Provider) configured() (providers.Config, attributes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cfg, p.attrs
}

// Resolve implements the contract.
func (p *Provider) Resolve(ctx context.Context, r providers.ResolveRequest) (providers.Remote, error) {
	cfg, attrs := p.configured()
	if err := attrs.resolve(ctx, attrs.Token, r.Locator); err != nil {
		return providers.Remote{}, err
	}
	remote, err := locate(cfg, r.Locator)
	if err != nil || !r.Contact {
		return remote, err
	}
	remote.Visibility, err = p.visibility(ctx, remote, r.Stored)
	return remote, err
}

// locate makes a remote of a locator without asking anybody.
func locate(cfg providers.Config, l providers.Locator) (providers.Remote, error) {
	if l.Host == "" {
		return providers.Remote{}, providers.Errorf(providers.CodeInvalidArgument, "acme has no default host: upstream_host is required")
	}
	host, err := netguard.ParseHost(l.Host)
	if err != nil {
		return providers.Remote{}, err
	}
	name := strings.TrimSuffix(l.Name, ".git")
	path := l.Owner + "/" + name
	for part := range strings.SplitSeq(path, "/") {
		if !segment(part) {
			return providers.Remote{}, providers.Errorf(providers.CodeInvalidArgument,
				"an owner and a name at acme consist of letters, digits, dots, dashes and underscores")
		}
	}
	web := url.URL{Scheme: cfg.Host(host).Scheme, Host: host, Path: "/" + path}
	clone := web
	clone.Path += ".git"
	return providers.Remote{URL: clone.String(), WebURL: web.String(), Host: host, Path: path, PushSupported: true}, nil
}

// segment reports whether a part of a path is safe to put into a URL.
func segment(s string) bool {
	if s == "" || len(s) > 255 || s == "." || s == ".." || s[0] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}

// Credential implements the contract.
func (p *Provider) Credential(ctx context.Context, r providers.CredentialRequest) (providers.Credential, error) {
	if err := ctx.Err(); err != nil {
		return providers.Credential{}, err
	}
	switch r.Operation {
	case providers.OpFetch, providers.OpPush, providers.OpAPI:
	default:
		return providers.Credential{}, providers.Errorf(providers.CodeInvalidArgument, "acme knows no such operation")
	}
	if r.Stored != nil {
		return basic(*r.Stored)
	}
	_, attrs := p.configured()
	switch {
	case attrs.Token != "":
		return basic(providers.StoredCredential{Secret: providers.Secret(attrs.Token)})
	case r.Operation == providers.OpPush:
		return providers.Credential{}, providers.Errorf(providers.CodeUnauthenticated, "acme takes no push without a credential: store one for the repository")
	}
	return providers.Credential{Kind: providers.CredentialNone}, nil
}

// basic makes a credential of a stored one. It ends up in a header and in the
// input of git, where a line break begins something new.
func basic(stored providers.StoredCredential) (providers.Credential, error) {
	user := stored.Username
	if user == "" {
		user = defaultUser
	}
	if stored.Secret == "" || strings.ContainsAny(stored.Secret.Reveal(), "\r\n\x00") || strings.ContainsAny(user, ":\r\n\x00") {
		return providers.Credential{}, providers.Errorf(providers.CodeInvalidArgument, "the stored credential is no user name and token of acme")
	}
	return providers.Credential{Kind: providers.CredentialBasic, Username: user, Secret: stored.Secret}, nil
}
