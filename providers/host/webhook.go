package host

import (
	"context"
	"path"
	"slices"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/v1/wire"
)

// WebhookSecrets returns the webhook secrets of all host blocks. They are those
// of the address of the whole instance, where it is not known before parsing
// which of the hosts is talking.
func (i *Instance) WebhookSecrets() []providers.Secret {
	var out []providers.Secret
	for _, h := range i.latest().block.Hosts {
		for _, s := range h.WebhookSecrets {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// WebhookHosts returns the hosts whose blocks have webhook secrets.
func (i *Instance) WebhookHosts() []string {
	var out []string
	for _, h := range i.latest().block.Hosts {
		if len(h.WebhookSecrets) > 0 {
			out = append(out, h.Host)
		}
	}
	return out
}

// ParseWebhook is [providers.Provider.ParseWebhook]. An answer that does not say
// that the webhook is verified is refused with [providers.CodeSignatureInvalid],
// so that a plugin which forgets to look fails closed.
func (i *Instance) ParseWebhook(ctx context.Context, r providers.WebhookRequest) (providers.WebhookResult, error) {
	return onLatest(i, func(i *Instance) (providers.WebhookResult, error) {
		i.see(nil, r.Secrets...)
		result, err := call(ctx, i.super, "ParseWebhook", func(ctx context.Context, c *wire.Client) (providers.WebhookResult, error) {
			return c.ParseWebhook(ctx, r)
		})
		if err == nil && !result.Verified {
			err = i.errorf(providers.CodeSignatureInvalid, "its plugin did not verify the webhook")
		}
		if err != nil {
			return providers.WebhookResult{}, i.clean(err)
		}
		return result, nil
	})
}

// EnsureWebhook is [providers.WebhookRegistrar.EnsureWebhook]. A provider that is
// none answers [providers.CodeUnsupported].
func (i *Instance) EnsureWebhook(ctx context.Context, r providers.EnsureWebhookRequest) (providers.RegisteredWebhook, error) {
	return onLatest(i, func(i *Instance) (providers.RegisteredWebhook, error) {
		i.see(r.Stored, append(addressSecrets(r.URL), r.Secret)...)
		hook, err := call(ctx, i.super, "EnsureWebhook", func(ctx context.Context, c *wire.Client) (providers.RegisteredWebhook, error) {
			return c.EnsureWebhook(ctx, r)
		})
		return hook, i.clean(err)
	})
}

// RemoveWebhook is [providers.WebhookRegistrar.RemoveWebhook].
func (i *Instance) RemoveWebhook(ctx context.Context, r providers.RemoveWebhookRequest) error {
	_, err := onLatest(i, func(i *Instance) (struct{}, error) {
		i.see(r.Stored, addressSecrets(r.URL)...)
		_, err := call(ctx, i.super, "RemoveWebhook", func(ctx context.Context, c *wire.Client) (struct{}, error) {
			return struct{}{}, c.RemoveWebhook(ctx, r)
		})
		return struct{}{}, i.clean(err)
	})
	return err
}

// ReplayDeliveries is [providers.DeliveryReplayer.ReplayDeliveries]. A provider
// that is none answers [providers.CodeUnsupported].
func (i *Instance) ReplayDeliveries(ctx context.Context, r providers.ReplayRequest) (providers.ReplayResult, error) {
	return onLatest(i, func(i *Instance) (providers.ReplayResult, error) {
		result, err := call(ctx, i.super, "ReplayDeliveries", func(ctx context.Context, c *wire.Client) (providers.ReplayResult, error) {
			return c.ReplayDeliveries(ctx, r)
		})
		return result, i.clean(err)
	})
}

// minToken is the shortest last part of a webhook's address that is taken for
// an unguessable one, and not for a word.
const minToken = 20

// addressSecrets returns what must not be shown of a webhook's address: all of
// it, and its last part if that is what makes it unguessable. Hosts like to
// repeat addresses in their refusals.
func addressSecrets(address string) []providers.Secret {
	out := []providers.Secret{providers.Secret(address)}
	if token := path.Base(address); len(token) >= minToken {
		out = append(out, providers.Secret(token))
	}
	return out
}
