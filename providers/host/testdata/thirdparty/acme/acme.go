// Package acme is the provider of an imaginary host: repositories at
// https://HOST/OWNER/NAME.git behind HTTP basic authentication.
package acme

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/sdk"
)

// defaultUser is the user name for a credential that is a token alone.
const defaultUser = "acme"

// Provider is the provider. Make one with New.
type Provider struct {
	mu  sync.RWMutex
	cfg providers.Config
	bad misbehaviour
}

var _ providers.Provider = (*Provider)(nil)

// New returns a provider that waits for Configure.
func New() providers.Provider { return &Provider{} }

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
			{Name: "misbehave", Type: "string", Doc: "What to do wrong in Resolve: see Misbehaviours."},
			{Name: "marker", Type: "string", Doc: "File that misbehave leaves behind to happen only once."},
		},
		WebhookHeaders:      []string{"X-Acme-Signature", "X-Acme-Delivery"},
		ExcludedRefPrefixes: []string{"refs/pull/"},
	}
}

// Configure implements the contract.
func (p *Provider) Configure(_ context.Context, c providers.Config) error {
	var bad misbehaviour
	if len(c.Attributes) > 0 {
		if err := json.Unmarshal(c.Attributes, &bad); err != nil {
			return providers.Errorf(providers.CodeInvalidConfig, "the attributes are not a JSON object of strings")
		}
	}
	if err := bad.configure(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cfg, p.bad = c, bad
	return nil
}

// Resolve implements the contract. It needs no contact with the host.
func (p *Provider) Resolve(ctx context.Context, r providers.ResolveRequest) (providers.Remote, error) {
	p.mu.RLock()
	cfg, bad := p.cfg, p.bad
	p.mu.RUnlock()
	if err := bad.resolve(ctx, r.Locator); err != nil {
		return providers.Remote{}, err
	}
	l := r.Locator
	switch {
	case l.Host == "":
		return providers.Remote{}, providers.Errorf(providers.CodeInvalidArgument, "acme has no default host: upstream_host is required")
	case !segment(l.Name) || l.Owner == "":
		return providers.Remote{}, providers.Errorf(providers.CodeInvalidArgument, "acme needs an owner and a name of letters, digits, dots, dashes and underscores")
	}
	for part := range strings.SplitSeq(l.Owner, "/") {
		if !segment(part) {
			return providers.Remote{}, providers.Errorf(providers.CodeInvalidArgument, "acme needs an owner of letters, digits, dots, dashes and underscores")
		}
	}
	host := cfg.Host(l.Host)
	path := l.Owner + "/" + l.Name
	web := url.URL{Scheme: host.Scheme, Host: host.Host, Path: "/" + path}
	clone := web
	clone.Path += ".git"
	return providers.Remote{
		URL: clone.String(), WebURL: web.String(), Host: host.Host, Path: path, PushSupported: true,
	}, nil
}

// Credential implements the contract.
func (p *Provider) Credential(_ context.Context, r providers.CredentialRequest) (providers.Credential, error) {
	p.mu.RLock()
	token := p.bad.Token
	p.mu.RUnlock()
	switch {
	case r.Stored != nil && r.Stored.Username != "":
		return providers.Credential{Kind: providers.CredentialBasic, Username: r.Stored.Username, Secret: r.Stored.Secret}, nil
	case r.Stored != nil:
		return providers.Credential{Kind: providers.CredentialBasic, Username: defaultUser, Secret: r.Stored.Secret}, nil
	case token != "":
		return providers.Credential{Kind: providers.CredentialBasic, Username: defaultUser, Secret: providers.Secret(token)}, nil
	}
	return providers.Credential{Kind: providers.CredentialNone}, nil
}

// ParseWebhook implements the contract.
func (p *Provider) ParseWebhook(_ context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
	got, err := hex.DecodeString(r.Header.Get("X-Acme-Signature"))
	if err != nil || !signedByOne(r.Body, got, r.Secrets) {
		return providers.WebhookResult{}, providers.Errorf(providers.CodeSignatureInvalid, "the webhook is not signed with a known secret")
	}
	var body struct {
		Repository string `json:"repository"`
		Ref        string `json:"ref"`
		Old        string `json:"old"`
		New        string `json:"new"`
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return providers.WebhookResult{}, providers.Errorf(providers.CodeInvalidArgument, "the webhook is not JSON")
	}
	out := providers.WebhookResult{
		Verified:       true,
		DeliveryID:     r.Header.Get("X-Acme-Delivery"),
		Kind:           providers.WebhookPush,
		RepositoryPath: body.Repository,
	}
	if body.Ref == "" {
		out.Kind = providers.WebhookPing
		return out, nil
	}
	out.Refs = []providers.RefHint{{Name: body.Ref, Old: body.Old, New: body.New}}
	return out, nil
}

func signedByOne(body, signature []byte, secrets []providers.Secret) bool {
	for _, s := range secrets {
		if s == "" {
			continue // an empty secret signs anything
		}
		mac := hmac.New(sha256.New, []byte(s.Reveal()))
		_, _ = mac.Write(body)
		if hmac.Equal(mac.Sum(nil), signature) {
			return true
		}
	}
	return false
}

// Probe implements the contract: it asks for the advertised refs, the one thing
// that every git host answers.
func (p *Provider) Probe(ctx context.Context, r providers.ProbeRequest) (providers.ProbeResult, error) {
	p.mu.RLock()
	policy := p.cfg.Host(r.Remote.Host)
	p.mu.RUnlock()
	client := sdk.HTTPClient(policy)
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Remote.URL+"/info/refs?service=git-upload-pack", nil)
	if err != nil {
		return providers.ProbeResult{}, providers.Errorf(providers.CodeInvalidArgument, "the URL of the remote is not valid")
	}
	if r.Stored != nil {
		user := r.Stored.Username
		if user == "" {
			user = defaultUser
		}
		req.SetBasicAuth(user, r.Stored.Secret.Reveal())
	}
	start := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return providers.ProbeResult{}, err
	}
	defer resp.Body.Close()
	out := providers.ProbeResult{Reachable: true, Latency: time.Since(start), Message: "the host answers"}
	switch resp.StatusCode {
	case http.StatusOK:
		out.CanPull = true
		out.CanPush = r.Stored != nil
	case http.StatusUnauthorized, http.StatusForbidden:
		out.Message = "the host wants another credential"
	case http.StatusNotFound:
		out.Message = "the host has no such repository"
	default:
		out.Message = "the host answers " + resp.Status
	}
	return out, nil
}

// segment reports whether a part of a path is safe to put into a URL.
func segment(s string) bool {
	if s == "" || s == "." || s == ".." || strings.HasPrefix(s, "-") {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
}
