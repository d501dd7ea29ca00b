package coretest

import (
	"context"
	"slices"
	"sync"

	"github.com/headwater-git/headwater/core/upstream"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/providertest"
)

// Plugin is a provider instance that leads to one host.
type Plugin struct {
	providertest.Loopback

	mu       sync.Mutex
	manifest providers.Manifest
	policy   providers.HostPolicy
	others   []providers.HostPolicy
	poll     string
}

var (
	_ upstream.Plugin  = (*Plugin)(nil)
	_ upstream.Plugins = (*Plugin)(nil)
)

// NewPlugin returns a provider of the generic mode for the host of the policy.
// Its upstreams are not polled, so that a test decides when they are looked at.
func NewPlugin(policy providers.HostPolicy) *Plugin {
	p := &Plugin{policy: policy, poll: "off"}
	p.manifest = p.Loopback.Manifest()
	p.manifest.DefaultHost = policy.Host
	p.manifest.ExcludedRefPrefixes = []string{"refs/pull/"}
	p.manifest.Capabilities.AGit = true
	return p
}

// Edit changes manifest and policy.
func (p *Plugin) Edit(change func(m *providers.Manifest, policy *providers.HostPolicy)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.manifest, &p.policy)
}

// AddHost makes the provider serve one more host.
func (p *Plugin) AddHost(policy providers.HostPolicy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.others = append(p.others, policy)
}

// SetPoll changes what Poll answers.
func (p *Plugin) SetPoll(poll string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.poll = poll
}

// Name implements [upstream.Plugin].
func (p *Plugin) Name() string { return "test" }

// Manifest implements [upstream.Plugin].
func (p *Plugin) Manifest(context.Context) (providers.Manifest, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.manifest, nil
}

// HostPolicy implements [upstream.Plugin].
func (p *Plugin) HostPolicy(host string) providers.HostPolicy {
	p.mu.Lock()
	defer p.mu.Unlock()
	return providers.FindHost(append([]providers.HostPolicy{p.policy}, p.others...), host)
}

// Poll implements [upstream.Plugin].
func (p *Plugin) Poll() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.poll
}

// WebhookSecrets implements [upstream.Plugin].
func (p *Plugin) WebhookSecrets() []providers.Secret {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := slices.Clone(p.policy.WebhookSecrets)
	for _, h := range p.others {
		out = append(out, h.WebhookSecrets...)
	}
	return out
}

// WebhookHosts implements [upstream.Plugin].
func (p *Plugin) WebhookHosts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for _, h := range append([]providers.HostPolicy{p.policy}, p.others...) {
		if len(h.WebhookSecrets) > 0 {
			out = append(out, h.Host)
		}
	}
	return out
}

// Find implements [upstream.Plugins].
func (p *Plugin) Find(context.Context, string, bool, string) (upstream.Plugin, error) { return p, nil }

// Instance implements [upstream.Plugins].
func (p *Plugin) Instance(name string) (upstream.Plugin, error) {
	if name != p.Name() {
		return nil, providers.Errorf(providers.CodeInvalidConfig, "provider %q is not configured", name)
	}
	return p, nil
}

// Webhook implements [upstream.Plugins].
func (p *Plugin) Webhook(name string) (upstream.Plugin, error) {
	if name != p.Name() {
		return nil, providers.Errorf(providers.CodeNotFound, "there is no provider %q", name)
	}
	return p, nil
}

// Instances implements [upstream.Plugins].
func (p *Plugin) Instances() []string { return []string{p.Name()} }
