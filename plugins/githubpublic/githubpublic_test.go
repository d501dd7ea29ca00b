package githubpublic_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/githubpublic"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/providers/plugintest"
)

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	plugintest.Run(t, githubpublic.New, plugintest.Fixture{HostKind: forgetest.HostGitHubPublic, KnownHosts: true})
}

func TestProvider_Resolve_notReadable(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitHubPublic})
	f.CreateRepo("acme/secret", true)
	p := githubpublic.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{Hosts: []providers.HostPolicy{f.HostPolicy()}}))
	for _, name := range []string{"secret", "absent"} {
		_, err := p.Resolve(t.Context(), providers.ResolveRequest{
			Locator: providers.Locator{Host: f.Host(), Owner: "acme", Name: name}, Contact: true, Stored: f.Stored(),
		})
		require.Equal(t, providers.CodeNotFound, providers.CodeOf(err))
		require.ErrorContains(t, err, "acme/"+name+" at "+f.Host()+" is not publicly readable")
	}
	f.Inject(forgetest.Fault{Times: 1, Status: http.StatusUnauthorized, Body: `{"message":"Requires authentication"}`})
	_, err := p.Resolve(t.Context(), providers.ResolveRequest{
		Locator: providers.Locator{Host: f.Host(), Owner: "acme", Name: "secret"}, Contact: true,
	})
	require.Equal(t, providers.CodeNotFound, providers.CodeOf(err))
	for _, r := range f.Requests() {
		require.False(t, r.Credential, "public mode sends no credential, not even one that is stored")
	}
}

func TestProvider_Credential_neverPushes(t *testing.T) {
	t.Parallel()
	p := githubpublic.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{}))
	_, err := p.Credential(t.Context(), providers.CredentialRequest{
		Remote:    providers.Remote{URL: "https://github.com/acme/widget.git", Host: "github.com", Path: "acme/widget"},
		Operation: providers.OpPush, Stored: &providers.StoredCredential{Secret: "x"},
	})
	require.Equal(t, providers.CodeUnsupported, providers.CodeOf(err))
	require.EqualError(t, err, "upstream is read-only in public mode")
}
