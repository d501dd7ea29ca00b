// Package gitlab is the provider of repositories at gitlab.com and at
// self-hosted GitLab.
package gitlab

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

// Provider follows projects of GitLab. Owners may be nested groups
// ("group/subgroup").
//
// Store any of these as the repository's credential: a personal, group or
// project access token with the scopes read_repository and write_repository,
// or a deploy token with its own user name (which cannot push). GitLab wants
// some user name with a token; when none is stored, "oauth2" is sent, which is
// right for all kinds but deploy tokens. With the scope read_api, too, the
// project's stable id and default branch are known. With the scope api of a
// maintainer the server registers the project's webhook by itself.
//
// A self-hosted GitLab is named by upstream_host; its API is expected at
// https://HOST/api/v4 unless api_url says otherwise.
type Provider struct{ *generic.Provider }

var _ providers.Provider = (*Provider)(nil)

// New returns the provider, to be configured.
func New() providers.Provider {
	return &Provider{generic.New(generic.Host{
		Manifest: manifest(),
		Rules:    forge.Rules{Product: "GitLab", Groups: true},
		Username: func(c providers.StoredCredential) string {
			if c.Username == "" {
				return "oauth2"
			}
			return c.Username
		},
		API: &generic.API{
			Base: func(p forge.Place) string { return p.Policy.BaseURL() + "/api/v4" },
			Repository: func(p forge.Place, id string) string {
				if id == "" {
					id = p.Path()
				}
				return "/projects/" + url.PathEscape(id) + "?statistics=true"
			},
			Authorize: func(h http.Header, c providers.StoredCredential) {
				// OAuth, personal, group and project tokens alike.
				h.Set("Authorization", "Bearer "+c.Secret.Reveal())
			},
			Read: readProject,
		},
		ParseWebhook: parseWebhook,
		Webhooks:     webhooks(),
		Listing:      listing(),
	}, sdk.HTTPClient)}
}

func manifest() providers.Manifest {
	return providers.Manifest{
		Name:            "gitlab",
		Version:         forge.Version,
		ContractVersion: providers.ContractVersion,
		Description:     "Repositories at gitlab.com and self-hosted GitLab, with a stored credential",
		WireNames:       []string{"gitlab"},
		Mode:            providers.ModeGeneric,
		DefaultHost:     "gitlab.com",
		Capabilities: providers.Capabilities{
			PushHTTPS: true, AtomicPush: true, PushOptions: true, AnonymousFetch: true, StableIDs: true,
			Webhooks: true, WebhookRegistration: true, Listing: true, LFS: true,
		},
		WebhookHeaders: []string{
			"Content-Type", "X-Gitlab-Event", "X-Gitlab-Token", "X-Gitlab-Instance", "X-Gitlab-Event-Uuid", "Idempotency-Key",
			"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature",
		},
		ExcludedRefPrefixes: []string{"refs/merge-requests/", "refs/keep-around/", "refs/environments/", "refs/pipelines/"},
	}
}

// developer is the access level from which on a member may push.
const developer = 30

func readProject(body []byte) (generic.Repository, error) {
	type access struct {
		Level int `json:"access_level"`
	}
	var project struct {
		ID            int64  `json:"id"`
		Path          string `json:"path_with_namespace"`
		DefaultBranch string `json:"default_branch"`
		Visibility    string `json:"visibility"`
		Archived      bool   `json:"archived"`
		Statistics    struct {
			RepositorySize int64 `json:"repository_size"`
		} `json:"statistics"`
		Permissions struct {
			Project *access `json:"project_access"`
			Group   *access `json:"group_access"`
		} `json:"permissions"`
	}
	if err := json.Unmarshal(body, &project); err != nil {
		return generic.Repository{}, err
	}
	r := generic.Repository{
		ID:            strconv.FormatInt(project.ID, 10),
		Path:          project.Path,
		DefaultBranch: project.DefaultBranch,
		Visibility:    project.Visibility,
		Archived:      project.Archived,
		SizeHint:      project.Statistics.RepositorySize,
	}
	if r.Visibility == "internal" {
		r.Visibility = "private" // open to members of the instance only
	}
	for _, a := range []*access{project.Permissions.Project, project.Permissions.Group} {
		r.CanPush = r.CanPush || (a != nil && a.Level >= developer)
	}
	return r, nil
}
