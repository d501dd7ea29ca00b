package gitlab_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/gitlab"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/providers/plugintest"
)

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	plugintest.Run(t, gitlab.New, plugintest.Fixture{HostKind: forgetest.HostGitLab, NestedOwners: true})
}

func start(t *testing.T, repo string) (*forgetest.TestForge, providers.Provider) {
	t.Helper()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitLab})
	f.CreateRepo(repo, true)
	p := gitlab.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{Hosts: []providers.HostPolicy{f.HostPolicy()}}))
	return f, p
}

func TestProvider_Resolve_subgroups(t *testing.T) {
	t.Parallel()
	const repo = "Group/sub-group/deeper/Widget"
	f, p := start(t, repo)
	remote, err := p.Resolve(t.Context(), providers.ResolveRequest{
		Locator: providers.Locator{Host: f.Host(), Owner: "group/sub-group/deeper", Name: "widget"},
		Contact: true,
		Stored:  f.Stored(),
	})
	require.NoError(t, err)
	require.Equal(t, repo, remote.Path, "the host's own spelling is kept")
	require.Equal(t, f.CloneURL(repo), remote.URL)
	require.Equal(t, "private", remote.Visibility)
}

// A deploy token, or one with repository scopes alone, opens git and not the
// API.
func TestProvider_Resolve_tokenWithoutAPI(t *testing.T) {
	t.Parallel()
	f, p := start(t, "acme/widget")
	f.Inject(forgetest.Fault{
		Kinds: []forgetest.Kind{forgetest.KindAPI}, Status: http.StatusForbidden,
		Body: `{"error":"insufficient_scope","error_description":"The request requires higher privileges than provided by the access token."}`,
	})
	request := providers.ResolveRequest{
		Locator: providers.Locator{Host: f.Host(), Owner: "acme", Name: "widget"}, Contact: true, Stored: f.Stored(),
	}
	remote, err := p.Resolve(t.Context(), request)
	require.NoError(t, err)
	require.Equal(t, f.CloneURL("acme/widget"), remote.URL)
	require.Empty(t, remote.UpstreamID)

	request.Stored.Secret = "wrong"
	_, err = p.Resolve(t.Context(), request)
	require.Equal(t, providers.CodeUnauthenticated, providers.CodeOf(err))
	require.ErrorContains(t, err, "HTTP Basic: Access denied")
}

func TestProvider_Credential_username(t *testing.T) {
	t.Parallel()
	f, p := start(t, "acme/widget")
	remote := providers.Remote{URL: f.CloneURL("acme/widget"), Host: f.Host(), Path: "acme/widget"}
	for stored, want := range map[string]string{"": "oauth2", "gitlab+deploy-token-7": "gitlab+deploy-token-7"} {
		c, err := p.Credential(t.Context(), providers.CredentialRequest{
			Remote: remote, Operation: providers.OpFetch,
			Stored: &providers.StoredCredential{Username: stored, Secret: "glpat-x"},
		})
		require.NoError(t, err)
		require.Equal(t, want, c.Username)
		require.True(t, c.ExpiresAt.IsZero())
	}
}

func TestProvider_Probe_permissions(t *testing.T) {
	t.Parallel()
	f, p := start(t, "acme/widget")
	remote := providers.Remote{URL: f.CloneURL("acme/widget"), Host: f.Host(), Path: "acme/widget"}
	for _, readOnly := range []bool{false, true} {
		result, err := p.Probe(t.Context(), providers.ProbeRequest{Remote: remote, Stored: &providers.StoredCredential{
			Secret: providers.Secret(f.MintToken(forgetest.TokenOptions{ReadOnly: readOnly})),
		}})
		require.NoError(t, err)
		require.True(t, result.CanPull)
		require.Equal(t, !readOnly, result.CanPush)
	}
}
