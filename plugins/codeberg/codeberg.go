// Package codeberg is the provider of repositories at codeberg.org.
package codeberg

import (
	"github.com/headwater-git/headwater/plugins/internal/generic"
	"github.com/headwater-git/headwater/plugins/internal/gitea"
	"github.com/headwater-git/headwater/providers"
)

// Provider follows repositories at Codeberg, which runs Forgejo. The default
// host is codeberg.org.
//
// Store an access token with the scope write:repository as the repository's
// credential, alone or with the account's name. When only a token is stored,
// it is sent as the password of the user "git"; Codeberg finds the account by
// the token. Public repositories can be mirrored without a credential.
type Provider struct{ *generic.Provider }

var _ providers.Provider = (*Provider)(nil)

// New returns the provider, to be configured.
func New() providers.Provider {
	return &Provider{gitea.New(gitea.Flavor{
		Name:           "codeberg",
		Product:        "Codeberg",
		Description:    "Repositories at codeberg.org, with a stored credential",
		DefaultHost:    "codeberg.org",
		HeaderPrefixes: []string{"X-Forgejo-", "X-Gitea-"},
	})}
}
