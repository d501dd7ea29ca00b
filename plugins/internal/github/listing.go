package github

import (
	"strconv"

	"github.com/google/go-github/v62/github"

	"github.com/headwater-git/headwater/plugins/internal/forge"
	"github.com/headwater-git/headwater/providers"
)

// listed is how many repositories a page has: the most that GitHub gives.
const listed = 100

// Page reads a cursor, which is the number of a page, and returns the options
// that ask for it. Errors: [providers.CodeInvalidArgument].
func Page(cursor string) (github.ListOptions, error) {
	o := github.ListOptions{Page: 1, PerPage: listed}
	if cursor == "" {
		return o, nil
	}
	n, err := strconv.ParseUint(cursor, 10, 31)
	if err != nil || n < 2 {
		return o, providers.Errorf(providers.CodeInvalidArgument, "the cursor is none of this listing")
	}
	o.Page = int(n)
	return o, nil
}

// OwnerPlace checks an owner; the name of the place is only a word.
// Errors: [providers.CodeInvalidArgument].
func OwnerPlace(m providers.Manifest, c providers.Config, host, owner string) (forge.Place, error) {
	return Rules().Place(m, c, providers.Locator{Host: host, Owner: owner, Name: "repositories"})
}

// Listed makes a page of the repositories that GitHub listed. Those of other
// owners are left out, and those whose path cannot be used.
func Listed(m providers.Manifest, c providers.Config, owner forge.Place, list []*github.Repository, next int, push bool) providers.RepositoryPage {
	page := providers.RepositoryPage{Repositories: make([]providers.ListedRepository, 0, len(list))}
	for _, r := range list {
		remote, err := Known(m, c, owner, r, push)
		if err != nil {
			continue
		}
		if of, _ := forge.SplitPath(remote.Path); !forge.Below(of, owner.Owner) {
			continue
		}
		page.Repositories = append(page.Repositories, providers.ListedRepository{Remote: remote, Fork: r.GetFork()})
	}
	if next > 0 {
		page.Next = strconv.Itoa(next)
	}
	return page
}
