package host

import (
	"context"
	"crypto/sha256"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/config"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/providers/plugintest"
)

// TestThirdParty_conformance measures the third-party plugin as the server sees
// it: a process that was built from its own module and launched by its checksum.
func TestThirdParty_conformance(t *testing.T) {
	t.Parallel()
	binary, err := acmeBinary()
	require.NoError(t, err)
	src, err := os.ReadFile(binary)
	require.NoError(t, err)
	sum := sha256.Sum256(src)
	plugintest.Run(t, func() providers.Provider {
		return &launched{t: t, block: config.Provider{
			Type: "acme", Instance: "acme", Command: binary, SHA256: sum[:], Attributes: []byte("{}"),
		}}
	}, plugintest.Fixture{HostKind: forgetest.HostGitea, NestedOwners: true})
}

// launched makes a provider of a plugin: each Configure is a catalog of its own.
type launched struct {
	t     *testing.T
	block config.Provider

	mu       sync.Mutex
	instance *Instance
}

func (l *launched) launch(block config.Provider) *Instance {
	c, err := New(Options{
		Config:     &config.Config{Providers: []config.Provider{block}},
		BackoffMin: time.Hour, // a crash is a failure here
	})
	require.NoError(l.t, err)
	l.t.Cleanup(func() { require.NoError(l.t, c.Close(context.Background())) })
	i, err := c.Instance(block.Instance)
	require.NoError(l.t, err)
	return i
}

func (l *launched) get() *Instance {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.instance == nil {
		l.instance = l.launch(l.block)
	}
	return l.instance
}

func (l *launched) Manifest() providers.Manifest {
	m, err := l.get().Manifest(context.Background())
	require.NoError(l.t, err)
	return m
}

func (l *launched) Configure(ctx context.Context, c providers.Config) error {
	block := l.block
	block.Hosts = c.Hosts
	if len(c.Attributes) > 0 {
		block.Attributes = c.Attributes
	}
	i := l.launch(block)
	if err := i.Start(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.instance = i
	return nil
}

func (l *launched) Resolve(ctx context.Context, r providers.ResolveRequest) (providers.Remote, error) {
	return l.get().Resolve(ctx, r)
}

func (l *launched) Credential(ctx context.Context, r providers.CredentialRequest) (providers.Credential, error) {
	return l.get().Credential(ctx, r)
}

func (l *launched) ParseWebhook(ctx context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
	return l.get().ParseWebhook(ctx, r)
}

func (l *launched) Probe(ctx context.Context, r providers.ProbeRequest) (providers.ProbeResult, error) {
	return l.get().Probe(ctx, r)
}
