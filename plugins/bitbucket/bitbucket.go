// Package bitbucket is the provider of repositories at Bitbucket Cloud.
package bitbucket

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/plugins/internal/generic"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/sdk"
)

// defaultHost is Bitbucket Cloud.
const defaultHost = "bitbucket.org"

// Provider follows repositories at Bitbucket Cloud; the owner is the
// workspace. The default host is bitbucket.org.
//
// Store one of these as the repository's credential:
//
//   - a repository, project or workspace access token, without a user name
//     ("x-token-auth" is sent);
//   - an API token of an account (it begins with "ATATT"), with the account's
//     e-mail address as the user name, or without one; git is given
//     "x-bitbucket-api-token-auth", as Bitbucket wants it, and the address is
//     used for the API;
//   - an app password with the account's user name, while Bitbucket still
//     takes them.
//
// All need the permission to read repositories, to write them for pushes, and
// the one for webhooks if the server shall register the repository's webhook.
type Provider struct{ *generic.Provider }

var _ providers.Provider = (*Provider)(nil)

// New returns the provider, to be configured.
func New() providers.Provider {
	return &Provider{generic.New(generic.Host{
		Manifest: manifest(),
		Rules:    forge.Rules{Product: "Bitbucket"},
		Username: username,
		API: &generic.API{
			Base: func(p forge.Place) string {
				if p.Host == defaultHost {
					return "https://api.bitbucket.org/2.0"
				}
				return "" // no other host has this API
			},
			Repository: repositoryPath,
			Authorize:  authorize,
			Read:       readRepository,
		},
		ParseWebhook: parseWebhook,
		Webhooks:     webhooks(),
		Listing:      listing(),
	}, sdk.HTTPClient)}
}

func manifest() providers.Manifest {
	return providers.Manifest{
		Name:            "bitbucket",
		Version:         forge.Version,
		ContractVersion: providers.ContractVersion,
		Description:     "Repositories at Bitbucket Cloud, with a stored credential",
		WireNames:       []string{"bitbucket"},
		Mode:            providers.ModeGeneric,
		DefaultHost:     defaultHost,
		Capabilities: providers.Capabilities{
			PushHTTPS: true, AtomicPush: true, AnonymousFetch: true, StableIDs: true,
			Webhooks: true, WebhookRegistration: true, Listing: true, LFS: true,
		},
		WebhookHeaders:      []string{"Content-Type", "X-Event-Key", "X-Request-Uuid", "X-Hub-Signature"},
		ExcludedRefPrefixes: []string{"refs/pull-requests/"},
	}
}

// isAPIToken reports whether a secret is an API token of an account, which git
// and the API want with different names.
func isAPIToken(s providers.Secret) bool { return strings.HasPrefix(s.Reveal(), "ATATT") }

func username(c providers.StoredCredential) string {
	switch {
	case isAPIToken(c.Secret) && (c.Username == "" || strings.Contains(c.Username, "@")):
		return "x-bitbucket-api-token-auth"
	case c.Username == "":
		return "x-token-auth"
	}
	return c.Username
}

func authorize(h http.Header, c providers.StoredCredential) {
	if c.Username == "" || c.Username == "x-token-auth" {
		h.Set("Authorization", "Bearer "+c.Secret.Reveal())
		return
	}
	request := http.Request{Header: h}
	request.SetBasicAuth(c.Username, c.Secret.Reveal())
}

func readRepository(body []byte) (generic.Repository, error) {
	var repository struct {
		UUID       string `json:"uuid"`
		FullName   string `json:"full_name"`
		IsPrivate  bool   `json:"is_private"`
		Size       int64  `json:"size"` // bytes
		MainBranch struct {
			Name string `json:"name"`
		} `json:"mainbranch"`
	}
	if err := json.Unmarshal(body, &repository); err != nil {
		return generic.Repository{}, err
	}
	visibility := "public"
	if repository.IsPrivate {
		visibility = "private"
	}
	return generic.Repository{
		ID:            repository.UUID,
		Path:          repository.FullName,
		DefaultBranch: repository.MainBranch.Name,
		Visibility:    visibility,
		SizeHint:      repository.Size,
		// The answer does not tell permissions.
	}, nil
}
