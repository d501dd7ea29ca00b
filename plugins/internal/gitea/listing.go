package gitea

import (
	"encoding/json"
	"net/url"

	"github.com/headwater-git/headwater/plugins/internal/generic"
)

// listing says how the repositories of an organisation or a user are listed. The
// search has them in the order of their ids; the lists of organisations and users
// have those first that were changed last, so that a push between two pages would
// hide one. It goes by the number of the owner, which both kinds share.
func listing() *generic.Listing {
	return &generic.Listing{
		OwnerID: func(owner string) string { return "/users/" + url.PathEscape(owner) },
		Paths:   func(string) []string { return []string{"/repos/search?uid={id}&exclusive=true"} },
		First:   "limit=50&order=asc&page=1&sort=id",
		Next:    generic.CountedPage(generic.NextPage),
		Split:   generic.SplitField("data"),
		Fork: func(body []byte) (bool, error) {
			var repository struct {
				Fork bool `json:"fork"`
			}
			err := json.Unmarshal(body, &repository)
			return repository.Fork, err
		},
		Needs: "a token with the scopes read:user and read:repository",
	}
}
