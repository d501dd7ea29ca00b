package host

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/config"
	"github.com/headwater-git/headwater/providers/v1/wire"
)

// Instance is one configured provider: its block of providers.hcl, and the
// process that serves it while there is one. It is safe for concurrent use.
//
// The errors of its methods are [*providers.Error] and those of the context. A
// plugin that crashed, hangs or cannot be started gives
// [providers.CodeUnavailable], one that the operator has to correct in
// providers.hcl [providers.CodeInvalidConfig].
type Instance struct {
	name    string
	typ     string
	builtin bool
	block   config.Provider
	ca      map[string]string // by file: the authorities that its hosts are trusted by
	proxy   providers.Secret  // of hosts whose block names none
	recipe  recipe
	log     hclog.Logger

	manifest    atomic.Pointer[providers.Manifest] // nil: an external plugin that never ran
	tail        *tail
	credentials *credentialCache
	super       *supervisor
	next        atomic.Pointer[Instance] // what replaced it at a reload
}

// Name returns the name of the instance: the second label of its block, or the
// name of the provider.
func (i *Instance) Name() string { return i.name }

// Type returns the name of the provider.
func (i *Instance) Type() string { return i.typ }

// configured reports whether the instance has a block in providers.hcl.
func (i *Instance) configured() bool { return i.block.Pos != config.Pos{} }

// Builtin reports whether this executable serves the provider.
func (i *Instance) Builtin() bool { return i.builtin }

// HostPolicy returns how a host, with its port if it has one, may be spoken to.
func (i *Instance) HostPolicy(host string) providers.HostPolicy {
	i = i.latest()
	return providers.Config{Hosts: i.block.Hosts, Proxy: i.proxy}.Host(host)
}

// Poll says when upstreams are looked at unasked, unless the repository says
// otherwise: "off", "auto" or a Go duration. Without the attribute poll it is
// "off" for a provider of the public mode and "auto" for the others, among them
// an external plugin that never ran and whose mode is therefore unknown.
func (i *Instance) Poll() string {
	i = i.latest()
	if i.block.Poll != "" {
		return i.block.Poll
	}
	if m := i.manifest.Load(); m != nil && m.Mode == providers.ModePublic {
		return config.PollOff
	}
	return config.PollAuto
}

// Manifest returns what the provider is. That of a built-in is known; an
// external plugin is launched for it once. The result is the caller's own.
func (i *Instance) Manifest(ctx context.Context) (providers.Manifest, error) {
	i = i.latest()
	m := i.manifest.Load()
	if m == nil {
		err := i.Start(ctx)
		// A plugin that refuses its configuration has said what it is.
		if m = i.manifest.Load(); m == nil {
			return providers.Manifest{}, err
		}
	}
	out := *m
	out.WireNames = slices.Clone(m.WireNames)
	out.Attributes = slices.Clone(m.Attributes)
	out.WebhookHeaders = slices.Clone(m.WebhookHeaders)
	out.ExcludedRefPrefixes = slices.Clone(m.ExcludedRefPrefixes)
	return out, nil
}

// Start starts the plugin if it is not running and waits until it is configured.
// There is no need to: every call does. It tells an operator early what is wrong
// with a plugin or its block.
func (i *Instance) Start(ctx context.Context) error {
	if err := i.super.enter(); err != nil {
		return err
	}
	defer i.super.calls.Done()
	_, err := i.super.acquire(ctx, 0)
	return i.clean(err)
}

// Resolve is [providers.Provider.Resolve].
func (i *Instance) Resolve(ctx context.Context, r providers.ResolveRequest) (providers.Remote, error) {
	return onLatest(i, func(i *Instance) (providers.Remote, error) {
		i.see(r.Stored)
		remote, err := call(ctx, i.super, "Resolve", func(ctx context.Context, c *wire.Client) (providers.Remote, error) {
			return c.Resolve(ctx, r)
		})
		return remote, i.clean(err)
	})
}

// Credential is [providers.Provider.Credential] behind a cache: an answer is
// used again for the same remote, operation and stored credential while it is
// valid for MinValidity, callers that ask for the same at once share one call,
// and Fresh goes past the cache and replaces what is in it. A plugin that does not know
// the operations of LFS is asked for those of git.
func (i *Instance) Credential(ctx context.Context, r providers.CredentialRequest) (providers.Credential, error) {
	return onLatest(i, func(i *Instance) (providers.Credential, error) {
		if r.Operation != r.Operation.InGit() {
			m, err := i.Manifest(ctx)
			if err != nil {
				return providers.Credential{}, err
			}
			if !m.Capabilities.LFS {
				r.Operation = r.Operation.InGit()
			}
		}
		i.see(r.Stored)
		credential, err := i.credentials.get(ctx, r, func(ctx context.Context) (providers.Credential, error) {
			return call(ctx, i.super, "Credential", func(ctx context.Context, c *wire.Client) (providers.Credential, error) {
				return c.Credential(ctx, r)
			})
		})
		if err == nil {
			i.tail.redact.seeCredential(credential)
		}
		return credential, i.clean(err)
	})
}

// Probe is [providers.Provider.Probe].
func (i *Instance) Probe(ctx context.Context, r providers.ProbeRequest) (providers.ProbeResult, error) {
	return onLatest(i, func(i *Instance) (providers.ProbeResult, error) {
		i.see(r.Stored)
		result, err := call(ctx, i.super, "Probe", func(ctx context.Context, c *wire.Client) (providers.ProbeResult, error) {
			return c.Probe(ctx, r)
		})
		return result, i.clean(err)
	})
}

// see lets the redactor know the secrets of a call before the plugin does.
func (i *Instance) see(stored *providers.StoredCredential, others ...providers.Secret) {
	if stored != nil {
		i.tail.redact.see(stored.Username, stored.Secret)
	}
	for _, s := range others {
		i.tail.redact.see("", s)
	}
}

// clean cuts secrets out of the message of a provider's error and makes it one
// sentence on one line.
func (i *Instance) clean(err error) error {
	var e *providers.Error
	if !errors.As(err, &e) {
		return err
	}
	cleaned := *e
	cleaned.Message = strings.Join(strings.Fields(i.tail.redact.clean(e.Message)), " ")
	return &cleaned
}

// answersTo reports whether the manifest lists a wire name, in any case.
func answersTo(m providers.Manifest, wireName string) bool {
	for _, name := range m.WireNames {
		if strings.EqualFold(name, wireName) {
			return true
		}
	}
	return false
}

// has reports whether the instance has a block for a host.
func (i *Instance) has(host string) bool {
	for _, h := range i.block.Hosts {
		if strings.EqualFold(h.Host, host) {
			return true
		}
	}
	return false
}

func (i *Instance) errorf(code providers.Code, format string, args ...any) *providers.Error {
	return instanceError(i.name, code, format, args...)
}
