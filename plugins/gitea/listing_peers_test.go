//go:build peers

package gitea_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/gitea"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/giteatest"
)

// TestProvider_ListRepositories_realGitea lists an organisation of more than one page
// and a user, with a token and without one.
func TestProvider_ListRepositories_realGitea(t *testing.T) {
	t.Parallel()
	g := startGitea(t)
	g.call(t, http.MethodPost, "/orgs", `{"username":"acme"}`, http.StatusCreated)
	const n = 53 // a page has 50
	for i := range n {
		g.call(t, http.MethodPost, "/orgs/acme/repos", fmt.Sprintf(`{"name":"app-%02d","private":%t,"auto_init":true,"default_branch":"trunk"}`, i, i > 0), http.StatusCreated)
	}
	g.call(t, http.MethodPatch, "/repos/acme/app-01", `{"archived":true}`, http.StatusOK)
	g.call(t, http.MethodPost, "/repos/acme/app-02/forks", `{}`, http.StatusAccepted)

	p := gitea.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{Hosts: []providers.HostPolicy{{Host: g.Host, Scheme: "http", AllowPrivate: true}}}))
	stored := &providers.StoredCredential{Secret: providers.Secret(g.Token)}
	list := func(owner string, stored *providers.StoredCredential) (map[string]providers.ListedRepository, int) {
		all, pages := map[string]providers.ListedRepository{}, 0
		for cursor := ""; pages == 0 || cursor != ""; pages++ {
			require.Less(t, pages, 10)
			page, err := p.(providers.RepositoryLister).ListRepositories(t.Context(), providers.ListRequest{Host: g.Host, Owner: owner, Stored: stored, Cursor: cursor})
			require.NoError(t, err)
			for _, one := range page.Repositories {
				all[one.Remote.Path] = one
			}
			cursor = page.Next
		}
		return all, pages
	}
	all, pages := list("acme", stored)
	require.Len(t, all, n)
	require.Equal(t, 2, pages)
	for path, one := range all {
		require.Equal(t, path == "acme/app-01", one.Remote.Archived, path)
		require.False(t, one.Fork)
		require.Equal(t, "trunk", one.Remote.DefaultBranch)
		require.NotEmpty(t, one.Remote.UpstreamID)
		require.Equal(t, g.URL()+"/"+path+".git", one.Remote.URL)
	}
	public, _ := list("acme", nil)
	require.Len(t, public, 1)
	mine, _ := list(giteatest.User, stored)
	require.True(t, mine[giteatest.User+"/app-02"].Fork)

	_, err := p.(providers.RepositoryLister).ListRepositories(t.Context(), providers.ListRequest{Host: g.Host, Owner: "nobody", Stored: stored})
	require.Equal(t, providers.CodeNotFound, providers.CodeOf(err))
	_, err = p.(providers.RepositoryLister).ListRepositories(t.Context(), providers.ListRequest{
		Host: g.Host, Owner: "acme", Stored: &providers.StoredCredential{Secret: "0123456789012345678901234567890123456789"},
	})
	require.Equal(t, providers.CodeUnauthenticated, providers.CodeOf(err))
	scoped, err := g.Mint(t.Context(), "narrow", "read:repository")
	require.NoError(t, err)
	_, err = p.(providers.RepositoryLister).ListRepositories(t.Context(), providers.ListRequest{
		Host: g.Host, Owner: "acme", Stored: &providers.StoredCredential{Secret: providers.Secret(scoped)},
	})
	require.ErrorContains(t, err, "read:user")
}
