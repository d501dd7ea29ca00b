package sdk_test

import (
	"context"
	"net/http"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/sdk"
)

// Acme knows one imaginary host, code.acme.example. A provider this simple is
// all values; one with a cache or a client guards them with a mutex, because
// every method may run beside every other.
type Acme struct {
	config providers.Config
	client *http.Client
}

// Manifest works before Configure and always answers the same.
func (a *Acme) Manifest() providers.Manifest {
	return providers.Manifest{
		Name:            "acme",
		Version:         "1.0.0",
		ContractVersion: providers.ContractVersion,
		Description:     "Acme code hosting",
		WireNames:       []string{"acme"},
		Mode:            providers.ModeGeneric,
		DefaultHost:     "code.acme.example",
		Capabilities:    providers.Capabilities{PushHTTPS: true, AnonymousFetch: true},
	}
}

// Configure is called once, before the methods below.
func (a *Acme) Configure(_ context.Context, c providers.Config) error {
	a.config = c
	a.client = sdk.HTTPClient(c.Host("code.acme.example"))
	return nil
}

// Resolve says where the repository is. The operator's policy decides on the
// scheme.
func (a *Acme) Resolve(_ context.Context, r providers.ResolveRequest) (providers.Remote, error) {
	host := r.Locator.Host
	if host == "" {
		host = "code.acme.example"
	}
	if r.Locator.Owner == "" || r.Locator.Name == "" {
		return providers.Remote{}, providers.Errorf(providers.CodeInvalidArgument, "acme needs an owner and a name")
	}
	path := r.Locator.Owner + "/" + r.Locator.Name
	return providers.Remote{
		URL:           a.config.Host(host).Scheme + "://" + host + "/" + path + ".git",
		Host:          host,
		Path:          path,
		PushSupported: true,
	}, nil
}

// Credential makes of the stored credential what the host wants to see.
func (a *Acme) Credential(_ context.Context, r providers.CredentialRequest) (providers.Credential, error) {
	if r.Stored == nil {
		return providers.Credential{Kind: providers.CredentialNone}, nil
	}
	user := r.Stored.Username
	if user == "" {
		user = "acme" // the host takes a token with any name
	}
	return providers.Credential{Kind: providers.CredentialBasic, Username: user, Secret: r.Stored.Secret}, nil
}

// ParseWebhook: this host sends none.
func (a *Acme) ParseWebhook(context.Context, providers.WebhookRequest) (providers.WebhookResult, error) {
	return providers.WebhookResult{}, providers.Errorf(providers.CodeUnsupported, "acme sends no webhooks")
}

// Probe asks the host. Errors of the client are typed already.
func (a *Acme) Probe(ctx context.Context, r providers.ProbeRequest) (providers.ProbeResult, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.Remote.URL+"/info/refs?service=git-upload-pack", nil)
	if err != nil {
		return providers.ProbeResult{}, providers.Errorf(providers.CodeInvalidArgument, "the URL of the remote is not valid")
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return providers.ProbeResult{}, err
	}
	defer resp.Body.Close()
	return providers.ProbeResult{Reachable: true, CanPull: resp.StatusCode == http.StatusOK, Message: resp.Status}, nil
}

// A whole plugin: the program that providers.hcl names, with its sha256.
//
//	provider "acme" {
//	  command = "/usr/lib/headwater/provider-acme"
//	  sha256  = "..."
//	}
func Example() {
	// This is the body of main.
	sdk.Serve(&Acme{})
}

// A client for the API of a host in the operator's own network.
func ExampleHTTPClient() {
	client := sdk.HTTPClient(providers.HostPolicy{
		Host:         "git.internal",
		AllowPrivate: true,
		CAFile:       "/etc/headwater/internal-ca.pem",
	})
	defer client.CloseIdleConnections()
}
