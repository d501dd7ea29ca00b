// Package gitea is the provider of repositories at a self-hosted Gitea.
package gitea

import (
	"github.com/headwater-git/headwater/plugins/internal/generic"
	"github.com/headwater-git/headwater/plugins/internal/gitea"
	"github.com/headwater-git/headwater/providers"
)

// Provider follows repositories at a Gitea. There is no default host:
// upstream_host names the server. A server without TLS or on a private address
// needs a host block in providers.hcl with scheme = "http" or
// allow_private = true.
//
// Store an access token with the scope write:repository as the repository's
// credential, alone or with the account's name, or a name and a password. When
// only a token is stored, it is sent as the password of the user "git"; Gitea
// finds the account by the token.
//
// The API is expected at SCHEME://HOST/api/v1 unless api_url says otherwise.
type Provider struct{ *generic.Provider }

var _ providers.Provider = (*Provider)(nil)

// New returns the provider, to be configured.
func New() providers.Provider {
	return &Provider{gitea.New(gitea.Flavor{
		Name:           "gitea",
		Product:        "Gitea",
		Description:    "Repositories at a self-hosted Gitea, with a stored credential",
		HeaderPrefixes: []string{"X-Gitea-"},
	})}
}
