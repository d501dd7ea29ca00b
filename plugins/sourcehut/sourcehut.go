// Package sourcehut is the provider of repositories at git.sr.ht and at
// self-hosted SourceHut.
package sourcehut

import (
	"crypto/ed25519"
	"sync/atomic"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/plugins/internal/generic"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/sdk"
)

// Provider follows repositories at SourceHut. The default host is git.sr.ht;
// a self-hosted one is named by upstream_host. Owners are written with or
// without their tilde: "river" means "~river".
//
// SourceHut serves fetches over HTTPS and nothing else: it takes pushes over
// SSH only, and does not open private repositories over HTTPS. So mirrors of
// it are read-only here, of public and unlisted repositories, and need no
// credential. If one is stored it is sent, with the user name "git" if it has
// none, for self-hosted servers that ask for one.
//
// Its webhooks are signed with the key of the host, whose public half is given
// by webhook_public_key in the provider block; without it all are refused. The
// server does not register them: that takes an OAuth token of the account and
// a GraphQL query, and a mirror of SourceHut needs no credential. A person adds
// the webhook; docs/inbound-webhooks.md has the query.
type Provider struct {
	*generic.Provider
	keys atomic.Pointer[[]ed25519.PublicKey] // set by Configure
}

var _ providers.Provider = (*Provider)(nil)

// New returns the provider, to be configured.
func New() providers.Provider {
	return &Provider{Provider: generic.New(generic.Host{
		Manifest: manifest(),
		Rules:    forge.Rules{Product: "SourceHut", OwnerPrefix: "~", BareURLs: true},
		Username: func(c providers.StoredCredential) string {
			if c.Username == "" {
				return "git"
			}
			return c.Username
		},
		// Its API is GraphQL and answers to nobody without a token of
		// meta.sr.ht, so the host is asked in git's protocol.
		WebhooksUnsupported: "a stored credential cannot register webhooks at SourceHut: add one with its GraphQL API, " +
			"as docs/inbound-webhooks.md shows",
	}, sdk.HTTPClient)}
}

func manifest() providers.Manifest {
	return providers.Manifest{
		Name:            "sourcehut",
		Version:         forge.Version,
		ContractVersion: providers.ContractVersion,
		Description:     "Public repositories at git.sr.ht and self-hosted SourceHut, read-only",
		WireNames:       []string{"sr.ht", "sourcehut"},
		Mode:            providers.ModeGeneric,
		DefaultHost:     "git.sr.ht",
		Capabilities: providers.Capabilities{
			PushUnsupported: "SourceHut takes no push over HTTPS, only over SSH; push to it directly",
			AnonymousFetch:  true,
			Webhooks:        true,
			LFS:             true,
		},
		Attributes:     attributesOfBlock(),
		WebhookHeaders: []string{"Content-Type", "X-Webhook-Event", "X-Payload-Signature", "X-Payload-Nonce"},
	}
}
