package wire

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/hashicorp/go-plugin"

	"github.com/headwater-git/headwater/providers"
	providerv1 "github.com/headwater-git/headwater/providers/v1"
)

// Client is the server's end of one connection to a plugin. Every method
// returns a [*providers.Error] when the provider answered with one, and a
// [*TransportError] when it did not answer.
type Client struct {
	conn grpc.ClientConnInterface
	rpc  providerv1.ProviderServiceClient
}

// NewClient makes a client on a connection, which stays the caller's.
func NewClient(conn grpc.ClientConnInterface) *Client {
	return &Client{conn: conn, rpc: providerv1.NewProviderServiceClient(conn)}
}

// Ping asks the health service. Unlike the Ping of go-plugin it takes a
// context, without which a stopped process would hold the caller for ever.
func (c *Client) Ping(ctx context.Context) error {
	_, err := grpc_health_v1.NewHealthClient(c.conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: plugin.GRPCServiceName})
	return fromStatus(err)
}

// Manifest is [providers.Provider.Manifest].
func (c *Client) Manifest(ctx context.Context, hostVersion string) (providers.Manifest, error) {
	out, err := c.rpc.Manifest(ctx, &providerv1.ManifestRequest{HostVersion: hostVersion})
	if err != nil {
		return providers.Manifest{}, fromStatus(err)
	}
	return fromManifest(out.GetManifest()), nil
}

// Configure is [providers.Provider.Configure].
func (c *Client) Configure(ctx context.Context, cfg providers.Config) error {
	_, err := c.rpc.Configure(ctx, toConfig(cfg))
	return fromStatus(err)
}

// Resolve is [providers.Provider.Resolve].
func (c *Client) Resolve(ctx context.Context, r providers.ResolveRequest) (providers.Remote, error) {
	out, err := c.rpc.Resolve(ctx, toResolveRequest(r))
	if err != nil {
		return providers.Remote{}, fromStatus(err)
	}
	return fromRemote(out.GetRemote()), nil
}

// Credential is [providers.Provider.Credential].
func (c *Client) Credential(ctx context.Context, r providers.CredentialRequest) (providers.Credential, error) {
	out, err := c.rpc.Credential(ctx, toCredentialRequest(r))
	if err != nil {
		return providers.Credential{}, fromStatus(err)
	}
	return fromCredential(out)
}

// ParseWebhook is [providers.Provider.ParseWebhook].
func (c *Client) ParseWebhook(ctx context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
	out, err := c.rpc.ParseWebhook(ctx, toWebhookRequest(r))
	if err != nil {
		return providers.WebhookResult{}, fromStatus(err)
	}
	return fromWebhookResult(out), nil
}

// Probe is [providers.Provider.Probe].
func (c *Client) Probe(ctx context.Context, r providers.ProbeRequest) (providers.ProbeResult, error) {
	out, err := c.rpc.Probe(ctx, toProbeRequest(r))
	if err != nil {
		return providers.ProbeResult{}, fromStatus(err)
	}
	return fromProbeResult(out), nil
}

// EnsureWebhook is [providers.WebhookRegistrar.EnsureWebhook].
func (c *Client) EnsureWebhook(ctx context.Context, r providers.EnsureWebhookRequest) (providers.RegisteredWebhook, error) {
	out, err := c.rpc.EnsureWebhook(ctx, toEnsureWebhookRequest(r))
	if err != nil {
		return providers.RegisteredWebhook{}, fromStatus(err)
	}
	return fromRegisteredWebhook(out), nil
}

// RemoveWebhook is [providers.WebhookRegistrar.RemoveWebhook].
func (c *Client) RemoveWebhook(ctx context.Context, r providers.RemoveWebhookRequest) error {
	_, err := c.rpc.RemoveWebhook(ctx, toRemoveWebhookRequest(r))
	return fromStatus(err)
}

// ReplayDeliveries is [providers.DeliveryReplayer.ReplayDeliveries].
func (c *Client) ReplayDeliveries(ctx context.Context, r providers.ReplayRequest) (providers.ReplayResult, error) {
	out, err := c.rpc.ReplayDeliveries(ctx, toReplayRequest(r))
	if err != nil {
		return providers.ReplayResult{}, fromStatus(err)
	}
	return fromReplayResult(out), nil
}

// ListRepositories is [providers.RepositoryLister.ListRepositories].
func (c *Client) ListRepositories(ctx context.Context, r providers.ListRequest) (providers.RepositoryPage, error) {
	out, err := c.rpc.ListRepositories(ctx, toListRequest(r))
	if err != nil {
		return providers.RepositoryPage{}, fromStatus(err)
	}
	return fromRepositoryPage(out), nil
}
