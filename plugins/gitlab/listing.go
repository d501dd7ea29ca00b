package gitlab

import (
	"encoding/json"
	"net/url"
	"time"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/plugins/internal/generic"
)

// listing says how projects are listed: those of a group with its subgroups, or
// those of a user. Projects that are only shared with the group belong elsewhere.
func listing() *generic.Listing {
	return &generic.Listing{
		Paths: func(owner string) []string {
			id := url.PathEscape(owner)
			return []string{
				"/groups/" + id + "/projects?include_subgroups=true&with_shared=false",
				"/users/" + id + "/projects",
			}
		},
		First: "order_by=id&page=1&per_page=100&sort=asc",
		// Beyond 10,000 objects GitLab leaves out totals and links to the last page,
		// never this header.
		Next:  generic.CountedPage(func(a forge.Answer) bool { return a.Header.Get("X-Next-Page") != "" }),
		Split: generic.SplitArray,
		Fork: func(body []byte) (bool, error) {
			var project struct {
				From *struct{} `json:"forked_from_project"`
			}
			err := json.Unmarshal(body, &project)
			return project.From != nil, err
		},
		// Of personal, group and project access tokens; others get a refusal.
		Expiry: &generic.Expiry{Path: "/personal_access_tokens/self", Read: func(body []byte) time.Time {
			var token struct {
				ExpiresAt string `json:"expires_at"` // a day; null: never
			}
			_ = json.Unmarshal(body, &token)
			at, err := time.Parse(time.DateOnly, token.ExpiresAt)
			if err != nil {
				return time.Time{}
			}
			return at
		}},
		Needs: "a personal or group access token with the scope read_api",
	}
}
