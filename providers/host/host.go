// Package host launches and supervises provider plugins.
package host

import (
	"context"
	"time"

	"github.com/headwater-git/headwater/providers"
)

// Catalog holds the provider instances.
type Catalog struct{}

// New makes a catalog. It starts no process.
func New(o Options) (*Catalog, error) { return &Catalog{}, nil }

// Find returns the instance for a base_repo.provider value.
func (c *Catalog) Find(ctx context.Context, wire string, public bool, upstreamHost string) (*Instance, error) {
	return nil, providers.Errorf(providers.CodeInvalidArgument, "unknown provider %q", wire)
}

// Instance returns the instance of that name.
func (c *Catalog) Instance(name string) (*Instance, error) {
	return nil, providers.Errorf(providers.CodeInvalidArgument, "unknown provider instance %q", name)
}

// Instances returns all instances, sorted by name.
func (c *Catalog) Instances() []*Instance { return nil }

// Status returns the state of every instance, sorted by name.
func (c *Catalog) Status() []Status { return nil }

// Close stops all plugins.
func (c *Catalog) Close(ctx context.Context) error { return nil }

// State is what the process of an instance is doing.
type State string

// The states of an instance.
const (
	StateIdle     State = "idle"     // not started yet, or stopped on purpose
	StateStarting State = "starting" // launched, not configured yet
	StateRunning  State = "running"
	StateBackoff  State = "backoff" // it failed; the next start has to wait
	StateClosed   State = "closed"
)

// Status is the state of one instance for an operator.
type Status struct {
	Name       string
	Type       string
	Builtin    bool
	State      State
	PID        int // 0 when no process runs
	Generation int // number of processes started so far
	Crashes    int // number of processes that failed so far
	LastStart  time.Time
	RetryAt    time.Time // StateBackoff: when the next start is possible
	LastError  string    // one sentence about the last failure
	Stderr     []string  // the last lines, secrets cut out
}

// Instance is one configured provider.
type Instance struct{}

// Name returns the name of the instance.
func (i *Instance) Name() string { return "" }

// Type returns the name of the provider.
func (i *Instance) Type() string { return "" }

// Manifest returns what the provider is.
func (i *Instance) Manifest(ctx context.Context) (providers.Manifest, error) {
	return providers.Manifest{}, nil
}

// HostPolicy returns how a host may be spoken to.
func (i *Instance) HostPolicy(host string) providers.HostPolicy { return providers.HostPolicy{} }

// Resolve is [providers.Provider.Resolve].
func (i *Instance) Resolve(ctx context.Context, r providers.ResolveRequest) (providers.Remote, error) {
	return providers.Remote{}, nil
}

// Credential is [providers.Provider.Credential], cached.
func (i *Instance) Credential(ctx context.Context, r providers.CredentialRequest) (providers.Credential, error) {
	return providers.Credential{}, nil
}

// ParseWebhook is [providers.Provider.ParseWebhook].
func (i *Instance) ParseWebhook(ctx context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
	return providers.WebhookResult{}, nil
}

// Probe is [providers.Provider.Probe].
func (i *Instance) Probe(ctx context.Context, r providers.ProbeRequest) (providers.ProbeResult, error) {
	return providers.ProbeResult{}, nil
}
