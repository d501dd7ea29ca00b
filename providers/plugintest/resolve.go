package plugintest

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
)

func (s *suite) testResolveOffline(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	locator := sc.locator()
	if sc.manifest.Capabilities.StableIDs {
		locator.ID = sc.forge.RepoID(sc.repo)
	}
	remote, err := sc.provider.Resolve(t.Context(), providers.ResolveRequest{Locator: locator, Stored: sc.stored()})
	require.NoError(t, err)
	require.Zero(t, sc.forge.Count(), "Resolve without Contact must make no request")
	require.Equal(t, sc.forge.CloneURL(sc.repo), remote.URL)
	require.Equal(t, sc.forge.URL()+"/"+sc.repo, remote.WebURL)
	require.Equal(t, sc.forge.Host(), remote.Host)
	require.Equal(t, sc.repo, remote.Path)
	require.Equal(t, sc.manifest.Capabilities.PushHTTPS, remote.PushSupported)
	require.Equal(t, locator.ID, remote.UpstreamID)
}

func (s *suite) testResolveHosts(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	at := func(host string) (providers.Remote, error) {
		locator := sc.locator()
		locator.Host = host
		return sc.provider.Resolve(t.Context(), providers.ResolveRequest{Locator: locator})
	}
	remote, err := at("")
	if sc.manifest.DefaultHost == "" {
		requireCode(t, err, providers.CodeInvalidArgument)
		require.Contains(t, err.Error(), "upstream_host")
	} else {
		require.NoError(t, err)
		require.Equal(t, sc.manifest.DefaultHost, remote.Host)
		require.True(t, strings.HasPrefix(remote.URL, "https://"+remote.Host+"/"), remote.URL)
	}

	remote, err = at("Git.Example.COM")
	if s.KnownHosts {
		requireCode(t, err, providers.CodeInvalidArgument)
	} else {
		require.NoError(t, err)
		require.Equal(t, "git.example.com", remote.Host)
		require.True(t, strings.HasPrefix(remote.URL, "https://git.example.com/"), remote.URL)
		remote, err = at("git.example.com:8443")
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(remote.URL, "https://git.example.com:8443/"), remote.URL)
	}

	for name, host := range map[string]string{
		"scheme": "https://git.example.com", "path": "git.example.com/x", "user info": "me:pw@git.example.com",
		"user": "me@git.example.com", "space": "git example.com", "line break": "git.example.com\nx",
		"null": "git.example.com\x00", "leading dash": "-git.example.com", "empty label": "git..example.com",
		"port": "git.example.com:http", "port range": "git.example.com:70000", "query": "git.example.com?x",
		"fragment": "git.example.com#x", "backslash": "git.example.com\\x", "only port": ":443", "blank": " ",
	} {
		_, err := at(host)
		requireCode(t, err, providers.CodeInvalidArgument)
		require.Error(t, err, name)
	}
	require.Zero(t, sc.forge.Count())
}

func (s *suite) testResolveNames(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	tilde := sc.traits.OwnerPrefix
	names := map[string]Name{
		"plain":          {"acme", "widget", "acme/widget"},
		"mixed case":     {"AcMe", "WidGet", "AcMe/WidGet"},
		"dots":           {"a.b", "x.y.z", "a.b/x.y.z"},
		"leading dot":    {"acme", ".github", "acme/.github"},
		"underscores":    {"_acme_", "__", "_acme_/__"},
		"digits":         {"0", "1", "0/1"},
		"inner dashes":   {"a-b", "c--d-", "a-b/c--d-"},
		"pasted suffix":  {"acme", "widget.git", "acme/widget"},
		"looks like git": {"acme", "dotgit", "acme/dotgit"},
	}
	if s.Names != nil {
		names = s.Names
	}
	for name, test := range names {
		t.Run(name, func(t *testing.T) {
			remote, err := sc.provider.Resolve(t.Context(), providers.ResolveRequest{
				Locator: providers.Locator{Host: sc.forge.Host(), Owner: test.Owner, Name: test.Name},
			})
			require.NoError(t, err)
			require.Equal(t, tilde+test.Path, remote.Path)
			require.Equal(t, sc.forge.CloneURL(tilde+test.Path), remote.URL)
		})
	}
	t.Run("nested owner", func(t *testing.T) {
		remote, err := sc.provider.Resolve(t.Context(), providers.ResolveRequest{
			Locator: providers.Locator{Host: sc.forge.Host(), Owner: "group/sub/deeper", Name: "widget"},
		})
		if !s.NestedOwners {
			requireCode(t, err, providers.CodeInvalidArgument)
			return
		}
		require.NoError(t, err)
		require.Equal(t, sc.forge.CloneURL("group/sub/deeper/widget"), remote.URL)
	})
}

func (s *suite) testResolveBadLocators(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	for name, part := range map[string]string{
		"empty": "", "dot": ".", "dots": "..", "traversal": "a/../b", "leading slash": "/a", "trailing slash": "a/",
		"double slash": "a//b", "leading dash": "-a", "option": "--upload-pack=x", "space": "a b", "line break": "a\nb",
		"null": "a\x00b", "escape": "a\x1bb", "backslash": `a\b`, "query": "a?b", "fragment": "a#b", "percent": "a%2fb",
		"at": "a@b", "colon": "a:b", "very long": strings.Repeat("a", 5000), "right-to-left": "a\u202eb",
	} {
		for _, where := range []string{"owner", "name"} {
			t.Run(name+" "+where, func(t *testing.T) {
				locator := sc.locator()
				if where == "owner" {
					locator.Owner = part
				} else {
					locator.Name = part
				}
				for _, contact := range []bool{false, true} {
					_, err := sc.provider.Resolve(t.Context(), providers.ResolveRequest{Locator: locator, Contact: contact})
					requireCode(t, err, providers.CodeInvalidArgument)
				}
			})
		}
	}
	for name, bad := range s.BadNames {
		locator := providers.Locator{Host: sc.forge.Host(), Owner: bad.Owner, Name: bad.Name}
		for _, contact := range []bool{false, true} {
			_, err := sc.provider.Resolve(t.Context(), providers.ResolveRequest{Locator: locator, Contact: contact})
			require.Error(t, err, name)
			requireCode(t, err, providers.CodeInvalidArgument)
		}
	}
	require.Zero(t, sc.forge.Count(), "a bad locator must not reach the host")
}

func (s *suite) testResolveContact(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	sc.forge.Git(sc.repo, "branch", "-m", "main", "trunk")
	remote, err := sc.contact(t.Context())
	require.NoError(t, err)
	require.NotZero(t, sc.forge.Count())
	require.Equal(t, sc.forge.CloneURL(sc.repo), remote.URL)
	require.Empty(t, sc.forge.Listed(""), "no refs need to be listed to locate a repository")
	if sc.manifest.Capabilities.StableIDs {
		require.Equal(t, sc.forge.RepoID(sc.repo), remote.UpstreamID)
		require.Equal(t, "trunk", remote.DefaultBranch)
		require.Equal(t, "public", remote.Visibility)
	}

	_, err = sc.provider.Resolve(t.Context(), providers.ResolveRequest{
		Locator: sc.at(sc.repo + "-absent"), Contact: true, Stored: sc.stored(),
	})
	requireCode(t, err, providers.CodeNotFound, providers.CodePermissionDenied, providers.CodeUnauthenticated)
}

func (s *suite) testResolveStableID(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	if !sc.manifest.Capabilities.StableIDs {
		// A provider that has no ids must not make one up.
		remote, err := sc.contact(t.Context())
		require.NoError(t, err)
		require.Empty(t, remote.UpstreamID)
		return
	}
	locator := sc.locator()
	locator.ID = sc.forge.RepoID(sc.repo)
	renamed := sc.repo[:strings.LastIndexByte(sc.repo, '/')] + "/renamed"
	sc.forge.RenameRepo(sc.repo, renamed)
	// An impostor takes the old name.
	sc.forge.CreateRepo(sc.repo, false)
	remote, err := sc.provider.Resolve(t.Context(), providers.ResolveRequest{Locator: locator, Contact: true, Stored: sc.stored()})
	require.NoError(t, err)
	require.Equal(t, locator.ID, remote.UpstreamID)
	require.Equal(t, sc.forge.CloneURL(renamed), remote.URL)

	// Not every host tells strangers about ids, but none may be fooled.
	remote, err = sc.provider.Resolve(t.Context(), providers.ResolveRequest{Locator: locator, Contact: true})
	if err != nil {
		requireCode(t, err, providers.CodeNotFound, providers.CodeUnavailable, providers.CodeUnauthenticated)
		return
	}
	require.Equal(t, locator.ID, remote.UpstreamID)
}

func (s *suite) testPrivate(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	require.NoError(t, sc.forge.SetPrivate(sc.repo, true))
	remote, err := sc.contact(t.Context())
	if sc.manifest.Mode == providers.ModeApp || sc.stored() != nil {
		require.NoError(t, err)
		require.Equal(t, "private", remote.Visibility)
	} else {
		requireCode(t, err, providers.CodeNotFound, providers.CodeUnauthenticated)
	}
	if sc.manifest.Mode != providers.ModeGeneric {
		return
	}
	for name, stored := range map[string]*providers.StoredCredential{
		"nothing stored": nil,
		"wrong token":    {Username: forgetest.User, Secret: plantedSecret},
	} {
		_, err = sc.provider.Resolve(t.Context(), providers.ResolveRequest{Locator: sc.locator(), Contact: true, Stored: stored})
		requireCode(t, err, providers.CodeNotFound, providers.CodeUnauthenticated, providers.CodePermissionDenied)
		require.Error(t, err, name)
	}
}

func (s *suite) testRateLimited(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	sc.forge.Inject(forgetest.Fault{Status: http.StatusTooManyRequests, RetryAfter: 17 * time.Second, Body: "slow down"})
	_, err := sc.contact(t.Context())
	requireCode(t, err, providers.CodeRateLimited)
	require.Equal(t, 17*time.Second, asError(t, err).RetryAfter)
}

// testRateWords checks that a provider understands how its host says that a
// budget is used up: GitHub says so with 403 and the end of a window.
func (s *suite) testRateWords(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	if !sc.traits.RateWords || !sc.manifest.Capabilities.StableIDs {
		return // it asks no API
	}
	const wait = 90 * time.Second
	for name, limit := range map[string]forgetest.RateLimit{
		"used up": {}, "too quick": {Secondary: true}, "used up, 429": {Status: http.StatusTooManyRequests},
	} {
		limit.Reset = time.Now().Add(wait)
		sc.forge.LimitRate(limit)
		_, err := sc.contact(t.Context())
		requireCode(t, err, providers.CodeRateLimited)
		require.InDelta(t, wait.Seconds(), asError(t, err).RetryAfter.Seconds(), 15, name)
	}
	sc.forge.LimitRate(forgetest.RateLimit{Requests: 20, Reset: time.Now().Add(wait)})
	_, err := sc.contact(t.Context())
	require.NoError(t, err, "what is left may be used")
	sc.forge.LimitRate(forgetest.RateLimit{})
	_, err = sc.contact(t.Context())
	require.NoError(t, err)
}

// testClockSkew checks that clocks which differ by less than a minute harm
// nobody.
func (s *suite) testClockSkew(t *testing.T) {
	for _, skew := range []time.Duration{-45 * time.Second, 45 * time.Second} {
		sc := s.stage(t, forgetest.ForgeOptions{})
		sc.forge.SetClockSkew(skew)
		remote, err := sc.contact(t.Context())
		require.NoError(t, err, skew)
		_, err = sc.provider.Credential(t.Context(), providers.CredentialRequest{Remote: remote, Operation: providers.OpFetch, Stored: sc.stored()})
		require.NoError(t, err, skew)
		result, err := sc.provider.Probe(t.Context(), providers.ProbeRequest{Remote: remote, Stored: sc.stored()})
		require.NoError(t, err, skew)
		require.Less(t, (result.ClockSkew - skew).Abs(), 5*time.Second, "the probe measures the skew")
	}
}

func (s *suite) testUnavailable(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	for _, status := range []int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable} {
		remove := sc.forge.Inject(forgetest.Fault{Status: status, Body: "<html>oops</html>"})
		_, err := sc.contact(t.Context())
		requireCode(t, err, providers.CodeUnavailable)
		require.Equal(t, status, asError(t, err).HTTPStatus)
		remove()
	}
	remove := sc.forge.Inject(forgetest.Fault{Drop: true})
	_, err := sc.contact(t.Context())
	requireCode(t, err, providers.CodeUnavailable)
	remove()
	if sc.manifest.Capabilities.StableIDs { // it reads an API
		remove := sc.forge.Inject(forgetest.Fault{Kinds: []forgetest.Kind{forgetest.KindAPI}, Status: http.StatusOK, Body: "<html>log in</html>"})
		_, err := sc.contact(t.Context())
		requireCode(t, err, providers.CodeUnavailable)
		remove()
	}
	_, err = sc.contact(t.Context())
	require.NoError(t, err, "the provider must recover by itself")
	require.NoError(t, sc.forge.Close())
	_, err = sc.contact(t.Context())
	requireCode(t, err, providers.CodeUnavailable)
}

func (s *suite) testRedirect(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	elsewhere := forgetest.StartForge(t, s.options(forgetest.ForgeOptions{}))
	elsewhere.CreateRepo(sc.repo, false)
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect} {
		remove := sc.forge.Inject(forgetest.Fault{Status: status, Header: http.Header{"Location": {elsewhere.CloneURL(sc.repo)}}})
		_, err := sc.contact(t.Context())
		requireCode(t, err, providers.CodeUnavailable, providers.CodeNotFound)
		remove()
	}
	require.Zero(t, elsewhere.Count(), "a redirect to another host must not be followed")
}

func (s *suite) testAddressPolicy(t *testing.T) {
	sc := s.stage(t, forgetest.ForgeOptions{})
	policy := sc.forge.HostPolicy()
	policy.AllowPrivate = false
	sc.provider = s.new()
	require.NoError(t, sc.provider.Configure(t.Context(), s.config(t, sc.forge.Forge, policy)))
	_, err := sc.contact(t.Context())
	requireCode(t, err, providers.CodeInvalidArgument)
	require.Zero(t, sc.forge.Count(), "a loopback address must not be contacted unless it is allowed")
}
