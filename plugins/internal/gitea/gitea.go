// Package gitea is what the plugins for Gitea, Forgejo and Codeberg share:
// Forgejo is a fork of Gitea with the same API, and Codeberg is one Forgejo.
package gitea

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/plugins/internal/generic"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/sdk"
)

// Flavor is one of the three.
type Flavor struct {
	Name        string // of the plugin and on the wire
	Product     string
	Description string
	DefaultHost string
	// HeaderPrefixes are those of its webhook headers, the first one first:
	// Forgejo sends Gitea's names, too.
	HeaderPrefixes []string
}

// New makes the provider of a flavor.
func New(f Flavor) *generic.Provider {
	return generic.New(generic.Host{
		Manifest: f.manifest(),
		Rules:    forge.Rules{Product: f.Product},
		Username: func(c providers.StoredCredential) string {
			if c.Username == "" {
				// A token is found whatever name it comes with.
				return "git"
			}
			return c.Username
		},
		API: &generic.API{
			Base: func(p forge.Place) string { return p.Policy.BaseURL() + "/api/v1" },
			Repository: func(p forge.Place, id string) string {
				if id != "" {
					return "/repositories/" + url.PathEscape(id)
				}
				return "/repos/" + p.Path()
			},
			PrivateIDs: true,
			Authorize: func(h http.Header, c providers.StoredCredential) {
				if c.Username == "" {
					h.Set("Authorization", "token "+c.Secret.Reveal())
					return
				}
				// It may be a password; Basic takes tokens as well.
				request := http.Request{Header: h}
				request.SetBasicAuth(c.Username, c.Secret.Reveal())
			},
			Read: readRepository,
		},
		ParseWebhook: f.parseWebhook,
		Webhooks:     webhooks(),
		Listing:      listing(),
	}, sdk.HTTPClient)
}

func (f Flavor) manifest() providers.Manifest {
	headers := []string{"Content-Type", githubSignature}
	for _, name := range []string{"Event", "Delivery", "Signature"} {
		headers = append(headers, f.headers(name)...)
	}
	return providers.Manifest{
		Name:            f.Name,
		Version:         forge.Version,
		ContractVersion: providers.ContractVersion,
		Description:     f.Description,
		WireNames:       []string{f.Name},
		Mode:            providers.ModeGeneric,
		DefaultHost:     f.DefaultHost,
		Capabilities: providers.Capabilities{
			PushHTTPS: true, AtomicPush: true, PushOptions: true, AnonymousFetch: true, StableIDs: true,
			Webhooks: true, WebhookRegistration: true, AGit: true, Listing: true, LFS: true,
		},
		WebhookHeaders:      headers,
		ExcludedRefPrefixes: []string{"refs/pull/", "refs/for/"},
	}
}

func readRepository(body []byte) (generic.Repository, error) {
	var repository struct {
		ID            int64  `json:"id"`
		FullName      string `json:"full_name"`
		DefaultBranch string `json:"default_branch"`
		Private       bool   `json:"private"`
		Internal      bool   `json:"internal"`
		Archived      bool   `json:"archived"`
		Size          int64  `json:"size"` // KiB
		Permissions   struct {
			Push bool `json:"push"`
		} `json:"permissions"`
	}
	if err := json.Unmarshal(body, &repository); err != nil {
		return generic.Repository{}, err
	}
	visibility := "public"
	if repository.Private || repository.Internal {
		visibility = "private"
	}
	return generic.Repository{
		ID:            strconv.FormatInt(repository.ID, 10),
		Path:          repository.FullName,
		DefaultBranch: repository.DefaultBranch,
		Visibility:    visibility,
		Archived:      repository.Archived,
		SizeHint:      repository.Size * 1024,
		CanPush:       repository.Permissions.Push,
	}, nil
}
