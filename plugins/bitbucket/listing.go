package bitbucket

import (
	"encoding/json"
	"net/url"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/plugins/internal/generic"
)

// listing says how the repositories of a workspace are listed. Bitbucket has no
// archived repositories.
func listing() *generic.Listing {
	return &generic.Listing{
		Paths: func(owner string) []string { return []string{"/repositories/" + url.PathEscape(owner)} },
		First: "pagelen=100&sort=created_on",
		// The next page is a URL. Only its query is taken: the token must not
		// follow a URL to wherever an answer says.
		Next: func(a forge.Answer, _ string) string {
			var page struct {
				Next string `json:"next"`
			}
			if json.Unmarshal(a.Body, &page) != nil || page.Next == "" {
				return ""
			}
			u, err := url.Parse(page.Next)
			if err != nil {
				return ""
			}
			return u.Query().Encode()
		},
		Split: generic.SplitField("values"),
		Fork: func(body []byte) (bool, error) {
			var repository struct {
				Parent *struct{} `json:"parent"`
			}
			err := json.Unmarshal(body, &repository)
			return repository.Parent != nil, err
		},
		Needs: "a workspace access token or an account's API token that may read repositories",
	}
}
