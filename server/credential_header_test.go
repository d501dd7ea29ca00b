package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/providers/providertest/fixture"
	"github.com/headwater-git/headwater/server/internal/servertest"
)

// bearerProvider is a provider for a host that takes a token in a header, and no
// basic authentication.
type bearerProvider struct{ config providers.Config }

const bearerName = "bearer"

func newBearerProvider() providers.Provider { return &bearerProvider{} }

func (*bearerProvider) Manifest() providers.Manifest {
	return providers.Manifest{
		Name: bearerName, Version: "1.0.0", ContractVersion: providers.ContractVersion, Description: "A host with bearer tokens",
		WireNames: []string{bearerName}, Mode: providers.ModeGeneric, Capabilities: providers.Capabilities{PushHTTPS: true, AtomicPush: true},
	}
}

func (b *bearerProvider) Configure(_ context.Context, c providers.Config) error {
	b.config = c
	return nil
}

func (b *bearerProvider) Resolve(_ context.Context, r providers.ResolveRequest) (providers.Remote, error) {
	l := r.Locator
	path := l.Owner + "/" + l.Name
	web := b.config.Host(l.Host).Scheme + "://" + l.Host + "/" + path
	return providers.Remote{URL: web + ".git", WebURL: web, Host: l.Host, Path: path, PushSupported: true}, nil
}

func (*bearerProvider) Credential(_ context.Context, r providers.CredentialRequest) (providers.Credential, error) {
	if r.Stored == nil {
		return providers.Credential{Kind: providers.CredentialNone}, nil
	}
	return providers.Credential{Kind: providers.CredentialHeader, Header: "X-Host-Token", Secret: "token " + r.Stored.Secret}, nil
}

func (*bearerProvider) ParseWebhook(context.Context, providers.WebhookRequest) (providers.WebhookResult, error) {
	return providers.WebhookResult{}, providers.Errorf(providers.CodeUnsupported, "the host sends no webhooks")
}

func (*bearerProvider) Probe(context.Context, providers.ProbeRequest) (providers.ProbeResult, error) {
	return providers.ProbeResult{Reachable: true, CanPull: true, CanPush: true}, nil
}

// TestCredentials_inAHeader mirrors a private repository of a host that takes its
// token in a header of its own alone, and pushes through the server. A
// token that was revoked pushes nothing, and is in no log.
func TestCredentials_inAHeader(t *testing.T) {
	t.Parallel()
	forge := forgetest.StartForge(t, forgetest.ForgeOptions{Custom: &fixture.Forge{
		Token: func(r *http.Request) string {
			token, _ := strings.CutPrefix(r.Header.Get("X-Host-Token"), "token ")
			return token
		},
	}})
	forge.CreateRepo(origin, true)
	forge.Seed(origin, forgetest.SeedOptions{Commits: 2})
	s := servertest.Start(t, servertest.Options{
		Providers: map[string]func() providers.Provider{bearerName: newBearerProvider},
		Config:    "provider \"" + bearerName + "\" {\n  host \"" + forge.Host() + "\" {\n    scheme        = \"http\"\n    allow_private = true\n  }\n}\n",
	})
	s.Follow(t, mirror, servertest.Base(bearerName, forge.Host(), origin))
	require.Error(t, s.Sync(t, mirror), "a private repository without a token")
	first := s.StoreCredential(t, mirror, forge)
	require.NoError(t, s.Sync(t, mirror), "%s", s.Log)
	requireMirrors(t, forge.Refs(origin), s.Refs(t, mirror))

	client := s.Client(t, mirror).Clone(s.Remote(mirror))
	id := client.Commit("through the server")
	client.Git("push", "--quiet", "origin", "HEAD:main")
	require.Equal(t, id, forge.Ref(origin, "refs/heads/main"))

	forge.RevokeTokens()
	client.Commit("with a token that was revoked")
	out, err := client.Try("push", "origin", "HEAD:main")
	require.Error(t, err)
	require.Equal(t, id, forge.Ref(origin, "refs/heads/main"))
	for _, text := range []string{out, s.Log.String()} {
		require.NotContains(t, text, first)
	}
}
