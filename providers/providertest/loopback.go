package providertest

import (
	"context"

	"github.com/headwater-git/headwater/providers"
)

// Loopback is a provider for tests of code that calls providers. Each method
// calls the function of its name; one that is nil answers in the simplest way
// that is right: Resolve takes the locator at its word, Credential hands on
// what is stored, Probe finds nothing wrong.
//
// The functions are read without a lock: set them before the value is used.
type Loopback struct {
	ManifestFunc     func() providers.Manifest
	ConfigureFunc    func(context.Context, providers.Config) error
	ResolveFunc      func(context.Context, providers.ResolveRequest) (providers.Remote, error)
	CredentialFunc   func(context.Context, providers.CredentialRequest) (providers.Credential, error)
	ParseWebhookFunc func(context.Context, providers.WebhookRequest) (providers.WebhookResult, error)
	ProbeFunc        func(context.Context, providers.ProbeRequest) (providers.ProbeResult, error)

	EnsureWebhookFunc    func(context.Context, providers.EnsureWebhookRequest) (providers.RegisteredWebhook, error)
	RemoveWebhookFunc    func(context.Context, providers.RemoveWebhookRequest) error
	ReplayDeliveriesFunc func(context.Context, providers.ReplayRequest) (providers.ReplayResult, error)
	ListRepositoriesFunc func(context.Context, providers.ListRequest) (providers.RepositoryPage, error)
}

var (
	_ providers.Provider         = (*Loopback)(nil)
	_ providers.WebhookRegistrar = (*Loopback)(nil)
	_ providers.DeliveryReplayer = (*Loopback)(nil)
	_ providers.RepositoryLister = (*Loopback)(nil)
)

// Manifest implements [providers.Provider].
func (l *Loopback) Manifest() providers.Manifest {
	if l.ManifestFunc != nil {
		return l.ManifestFunc()
	}
	return providers.Manifest{
		Name:            "loopback",
		Version:         "0.0.0",
		ContractVersion: providers.ContractVersion,
		Description:     "A provider for tests",
		WireNames:       []string{"loopback"},
		Mode:            providers.ModeGeneric,
		Capabilities: providers.Capabilities{
			PushHTTPS: true, AtomicPush: true, PushOptions: true, AnonymousFetch: true,
		},
	}
}

// Configure implements [providers.Provider].
func (l *Loopback) Configure(ctx context.Context, c providers.Config) error {
	if l.ConfigureFunc != nil {
		return l.ConfigureFunc(ctx, c)
	}
	return ctx.Err()
}

// Resolve implements [providers.Provider]. By default the scheme is http, as
// test servers have it.
func (l *Loopback) Resolve(ctx context.Context, r providers.ResolveRequest) (providers.Remote, error) {
	if l.ResolveFunc != nil {
		return l.ResolveFunc(ctx, r)
	}
	path := r.Locator.Owner + "/" + r.Locator.Name
	web := "http://" + r.Locator.Host + "/" + path
	return providers.Remote{
		URL: web + ".git", WebURL: web, Host: r.Locator.Host, Path: path,
		UpstreamID: r.Locator.ID, PushSupported: true,
	}, ctx.Err()
}

// Credential implements [providers.Provider].
func (l *Loopback) Credential(ctx context.Context, r providers.CredentialRequest) (providers.Credential, error) {
	if l.CredentialFunc != nil {
		return l.CredentialFunc(ctx, r)
	}
	if r.Stored == nil {
		return providers.Credential{Kind: providers.CredentialNone}, ctx.Err()
	}
	return providers.Credential{
		Kind: providers.CredentialBasic, Username: r.Stored.Username, Secret: r.Stored.Secret,
	}, ctx.Err()
}

// ParseWebhook implements [providers.Provider].
func (l *Loopback) ParseWebhook(ctx context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
	if l.ParseWebhookFunc != nil {
		return l.ParseWebhookFunc(ctx, r)
	}
	return providers.WebhookResult{}, providers.Errorf(providers.CodeUnsupported, "the loopback provider reads no webhooks")
}

// Probe implements [providers.Provider].
func (l *Loopback) Probe(ctx context.Context, r providers.ProbeRequest) (providers.ProbeResult, error) {
	if l.ProbeFunc != nil {
		return l.ProbeFunc(ctx, r)
	}
	return providers.ProbeResult{Reachable: true, CanPull: true, CanPush: true}, ctx.Err()
}

// EnsureWebhook implements [providers.WebhookRegistrar].
func (l *Loopback) EnsureWebhook(ctx context.Context, r providers.EnsureWebhookRequest) (providers.RegisteredWebhook, error) {
	if l.EnsureWebhookFunc != nil {
		return l.EnsureWebhookFunc(ctx, r)
	}
	return providers.RegisteredWebhook{}, providers.Errorf(providers.CodeUnsupported, "the loopback provider registers no webhooks")
}

// RemoveWebhook implements [providers.WebhookRegistrar].
func (l *Loopback) RemoveWebhook(ctx context.Context, r providers.RemoveWebhookRequest) error {
	if l.RemoveWebhookFunc != nil {
		return l.RemoveWebhookFunc(ctx, r)
	}
	return providers.Errorf(providers.CodeUnsupported, "the loopback provider registers no webhooks")
}

// ReplayDeliveries implements [providers.DeliveryReplayer].
func (l *Loopback) ReplayDeliveries(ctx context.Context, r providers.ReplayRequest) (providers.ReplayResult, error) {
	if l.ReplayDeliveriesFunc != nil {
		return l.ReplayDeliveriesFunc(ctx, r)
	}
	return providers.ReplayResult{}, providers.Errorf(providers.CodeUnsupported, "the loopback provider replays no webhooks")
}

// ListRepositories implements [providers.RepositoryLister].
func (l *Loopback) ListRepositories(ctx context.Context, r providers.ListRequest) (providers.RepositoryPage, error) {
	if l.ListRepositoriesFunc != nil {
		return l.ListRepositoriesFunc(ctx, r)
	}
	return providers.RepositoryPage{}, providers.Errorf(providers.CodeUnsupported, "the loopback provider lists no repositories")
}
