// Package sourcehut is the provider of repositories at git.sr.ht and at
// self-hosted SourceHut.
package sourcehut

import (
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
type Provider struct{ *generic.Provider }

var _ providers.Provider = (*Provider)(nil)

// New returns the provider, to be configured.
func New() providers.Provider {
	return &Provider{generic.New(generic.Host{
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
		},
		WebhookHeaders: []string{"X-Webhook-Event", "X-Webhook-Delivery", "X-Payload-Signature", "X-Payload-Nonce"},
	}
}
