package host

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
)

func TestInstance_webhooks_builtin(t *testing.T) {
	t.Parallel()
	const token = "planted-token-of-an-address"
	b := setup(t, "", nil)
	loop := b.instance(t, "loopback")
	ctx := t.Context()
	secrets := []providers.Secret{"planted-webhook-secret"}

	result, err := loop.ParseWebhook(ctx, providers.WebhookRequest{Body: []byte("x"), Secrets: secrets})
	require.NoError(t, err)
	require.Equal(t, providers.WebhookPush, result.Kind)

	result, err = loop.ParseWebhook(ctx, providers.WebhookRequest{Body: []byte("unverified"), Secrets: secrets})
	requireCode(t, err, providers.CodeSignatureInvalid)
	require.Empty(t, result, "a plugin that forgets to verify fails closed")

	_, err = loop.ParseWebhook(ctx, providers.WebhookRequest{Body: []byte("leak"), Secrets: secrets})
	require.EqualError(t, err, `not signed with "[redacted]"`)

	q := providers.EnsureWebhookRequest{URL: "https://headwater.example/webhooks/loopback/" + token, Secret: secrets[0]}
	hook, err := loop.EnsureWebhook(ctx, q)
	require.NoError(t, err)
	require.Equal(t, providers.RegisteredWebhook{HookID: "7", Changed: true}, hook)
	q.HookID = "leak"
	_, err = loop.EnsureWebhook(ctx, q)
	require.EqualError(t, err, "refused: [redacted] [redacted] [redacted]")

	require.NoError(t, loop.RemoveWebhook(ctx, providers.RemoveWebhookRequest{URL: q.URL}))
	err = loop.RemoveWebhook(ctx, providers.RemoveWebhookRequest{URL: q.URL, HookID: "leak"})
	require.EqualError(t, err, "refused: [redacted]")

	replay, err := loop.ReplayDeliveries(ctx, providers.ReplayRequest{Since: time.Unix(5, 0)})
	require.NoError(t, err)
	require.Equal(t, 5, replay.Failed)
}

func TestInstance_webhooks_withoutRegistrar(t *testing.T) {
	t.Parallel()
	acme := setup(t, acmeBlock(t, ""), nil).instance(t, "acme")
	_, err := acme.EnsureWebhook(t.Context(), providers.EnsureWebhookRequest{})
	requireCode(t, err, providers.CodeUnsupported)
	requireCode(t, acme.RemoveWebhook(t.Context(), providers.RemoveWebhookRequest{}), providers.CodeUnsupported)
	_, err = acme.ReplayDeliveries(t.Context(), providers.ReplayRequest{})
	requireCode(t, err, providers.CodeUnsupported)
	requireWorks(t, acme)
	require.Equal(t, 1, acme.Status().Generation, "what a plugin does not offer is no crash")
}

func TestInstance_WebhookSecrets(t *testing.T) {
	t.Parallel()
	b := setup(t, `
provider "loopback" {
  host "one.example" {
    webhook_secret  = "new"
    webhook_secrets = ["old"]
  }
  host "two.example" { webhook_secrets = ["old", "other"] }
}`, nil)
	loop := b.instance(t, "loopback")
	require.Equal(t, []providers.Secret{"new", "old", "other"}, loop.WebhookSecrets())
	require.Equal(t, []providers.Secret{"new", "old"}, loop.HostPolicy("one.example").WebhookSecrets)
	require.Empty(t, b.instance(t, "loopback-public").WebhookSecrets())
}

func TestInstance_Poll(t *testing.T) {
	t.Parallel()
	b := setup(t, `
provider "loopback" "never" { poll = "off" }
provider "loopback" "often" { poll = "30s" }
provider "loopback-public" "watched" { poll = "auto" }
`+acmeBlock(t, ""), nil)
	for name, want := range map[string]string{
		"loopback": "auto", "loopback-public": "off", "never": "off", "often": "30s", "watched": "auto", "acme": "auto",
	} {
		require.Equal(t, want, b.instance(t, name).Poll(), name)
	}
}

func TestCatalog_Webhook(t *testing.T) {
	t.Parallel()
	b := setup(t, `
provider "loopback" "forge" {}
provider "loopback-public" "a" {}
provider "loopback-public" "b" {}
`+acmeBlock(t, ""), nil)
	for name, want := range map[string]string{
		"forge": "forge", "loopback": "forge", "acme": "acme",
	} {
		i, err := b.Webhook(name)
		require.NoError(t, err, name)
		require.Equal(t, want, i.Name())
	}
	for _, name := range []string{"", "loop", "Forge", "../forge", "loopback-public"} {
		_, err := b.Webhook(name)
		requireCode(t, err, providers.CodeNotFound)
	}
	// Without built-ins nobody is named like the provider.
	only := setup(t, externalNamed(t, "one")+externalNamed(t, "two"), func(o *Options) { o.Builtins = nil })
	_, err := only.Webhook("acme")
	requireCode(t, err, providers.CodeNotFound)
	single := setup(t, externalNamed(t, "one"), func(o *Options) { o.Builtins = nil })
	i, err := single.Webhook("acme")
	require.NoError(t, err)
	require.Equal(t, "one", i.Name())
}
