package plugintest

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
)

// lister returns the provider's lister, false if its hosts list nothing.
func (sc *scene) lister(t *testing.T) (providers.RepositoryLister, bool) {
	t.Helper()
	lister, ok := sc.provider.(providers.RepositoryLister)
	if sc.manifest.Capabilities.Listing {
		require.True(t, ok, "the manifest promises a RepositoryLister")
		return lister, true
	}
	if ok {
		_, err := lister.ListRepositories(t.Context(), providers.ListRequest{Host: sc.forge.Host(), Owner: sc.owner()})
		requireCode(t, err, providers.CodeUnsupported)
	}
	return nil, false
}

func (sc *scene) owner() string { return sc.repo[:strings.LastIndexByte(sc.repo, '/')] }

// list reads all pages and returns what they list, by path, and how many there were.
// Between is called after each page but the last.
func (sc *scene) list(t *testing.T, lister providers.RepositoryLister, r providers.ListRequest, between func()) (map[string]providers.ListedRepository, int) {
	t.Helper()
	all := map[string]providers.ListedRepository{}
	for pages := 1; ; pages++ {
		require.Less(t, pages, 50, "the pages do not end")
		page, err := lister.ListRepositories(t.Context(), r)
		require.NoError(t, err)
		for _, one := range page.Repositories {
			require.NotContains(t, all, one.Remote.Path, "listed twice")
			all[one.Remote.Path] = one
		}
		if page.Next == "" {
			return all, pages
		}
		require.NotEqual(t, r.Cursor, page.Next)
		r.Cursor = page.Next
		between()
	}
}

func (s *suite) testListing(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	lister, ok := sc.lister(t)
	if !ok {
		return
	}
	owner := sc.owner()
	private, archived, fork := owner+"/hidden", owner+"/old", owner+"/copied"
	want := map[string]bool{sc.repo: true, archived: true, fork: true, owner + "/last": true}
	sc.forge.CreateRepo(archived, false)
	require.NoError(t, sc.forge.SetArchived(archived, true))
	sc.forge.CreateRepo(private, true)
	sc.forge.CreateRepo(fork, false)
	require.NoError(t, sc.forge.SetFork(fork, true))
	sc.forge.CreateRepo(owner+"/last", false)
	if s.NestedOwners {
		sc.forge.CreateRepo(owner+"/sub/deep/one", false)
		want[owner+"/sub/deep/one"] = true
	}
	sc.forge.CreateRepo(owner+"other/one", false)
	sc.forge.LimitPages(2)

	request := providers.ListRequest{Host: sc.forge.Host(), Owner: owner, Stored: sc.stored()}
	if sc.manifest.Mode != providers.ModePublic {
		want[private] = true
	}
	made := 0
	all, pages := sc.list(t, lister, request, func() {
		// What appears meanwhile must hide nothing, wherever it is in the list.
		if made++; made == 1 {
			sc.forge.CreateRepo(owner+"/aaa-meanwhile", false)
		}
	})
	require.Greater(t, pages, 1, "pages are not followed")
	delete(all, owner+"/aaa-meanwhile")
	for path := range want {
		require.Contains(t, all, path)
	}
	require.Len(t, all, len(want), "listed: %v", all)
	for path, one := range all {
		require.Equal(t, sc.forge.RepoID(path), one.Remote.UpstreamID)
		require.Equal(t, sc.forge.CloneURL(path), one.Remote.URL)
		require.Equal(t, sc.forge.Host(), one.Remote.Host)
		require.Equal(t, "main", one.Remote.DefaultBranch)
		require.Equal(t, path == fork, one.Fork, path)
		if !sc.traits.NoArchive {
			require.Equal(t, path == archived, one.Remote.Archived, path)
		}
		visibility := "public"
		if path == private {
			visibility = "private"
		}
		require.Equal(t, visibility, one.Remote.Visibility, path)
		resolved, err := sc.provider.Resolve(t.Context(), providers.ResolveRequest{
			Locator: providers.Locator{Host: one.Remote.Host, Owner: path[:strings.LastIndexByte(path, '/')], Name: path[strings.LastIndexByte(path, '/')+1:]},
			Contact: true, Stored: request.Stored,
		})
		require.NoError(t, err)
		require.Equal(t, resolved.UpstreamID, one.Remote.UpstreamID, "Resolve and a listing must know one id")
		require.Equal(t, resolved.URL, one.Remote.URL)
	}

	sc.forge.RenameRepo(archived, owner+"/older")
	again, _ := sc.list(t, lister, request, func() {})
	require.NotContains(t, again, archived)
	require.Equal(t, all[archived].Remote.UpstreamID, again[owner+"/older"].Remote.UpstreamID, "a rename keeps the id")

	if sc.manifest.Mode == providers.ModeGeneric {
		public, _ := sc.list(t, lister, providers.ListRequest{Host: sc.forge.Host(), Owner: owner}, func() {})
		require.NotContains(t, public, private, "without a credential only public repositories are listed")
		require.Contains(t, public, sc.repo)
	}
}

func (s *suite) testListingRefused(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	lister, ok := sc.lister(t)
	if !ok {
		return
	}
	owner := sc.owner()
	sc.forge.CreateRepo(owner+"/second", false)
	sc.forge.LimitPages(1)
	request := providers.ListRequest{Host: sc.forge.Host(), Owner: owner, Stored: sc.stored()}
	list := func(change func(r *providers.ListRequest)) (providers.RepositoryPage, error) {
		r := request
		change(&r)
		return lister.ListRepositories(t.Context(), r)
	}

	_, err := list(func(r *providers.ListRequest) { r.Owner = sc.traits.OwnerPrefix + "nobody-here" })
	requireCode(t, err, providers.CodeNotFound, providers.CodeRevoked)
	for _, bad := range []string{"", "..", "a/../b", "/a", "a/", "a?b", "a\nb"} {
		_, err := list(func(r *providers.ListRequest) { r.Owner = bad })
		requireCode(t, err, providers.CodeInvalidArgument)
	}
	for _, bad := range []string{"nonsense", "{}x", `{"p":99,"q":"page=1"}`, strings.Repeat("9", 5000), "../../user"} {
		_, err := list(func(r *providers.ListRequest) { r.Cursor = bad })
		requireCode(t, err, providers.CodeInvalidArgument)
	}
	if sc.manifest.Mode == providers.ModeGeneric {
		_, err := list(func(r *providers.ListRequest) {
			r.Stored = &providers.StoredCredential{Username: request.Stored.Username, Secret: plantedSecret}
		})
		requireCode(t, err, providers.CodeUnauthenticated, providers.CodePermissionDenied)
		requireSecret(t, plantedSecret, err)
	}

	first, err := list(func(*providers.ListRequest) {})
	require.NoError(t, err)
	require.NotEmpty(t, first.Next)
	sc.forge.LimitRate(forgetest.RateLimit{Reset: time.Now().Add(time.Minute)})
	_, err = list(func(r *providers.ListRequest) { r.Cursor = first.Next })
	requireCode(t, err, providers.CodeRateLimited)
	sc.forge.LimitRate(forgetest.RateLimit{})
	second, err := list(func(r *providers.ListRequest) { r.Cursor = first.Next })
	require.NoError(t, err, "the same page can be asked for again")
	require.NotEqual(t, first.Repositories[0].Remote.Path, second.Repositories[0].Remote.Path)
}
