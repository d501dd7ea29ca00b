package gitea_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/gitea"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/providers/plugintest"
)

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	plugintest.Run(t, gitea.New, plugintest.Fixture{HostKind: forgetest.HostGitea})
}

func TestProvider_Resolve_credentialForms(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostGitea})
	f.CreateRepo("Acme/Widget", true)
	p := gitea.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{Hosts: []providers.HostPolicy{f.HostPolicy()}}))
	for _, username := range []string{"", forgetest.User} {
		stored := &providers.StoredCredential{Username: username, Secret: providers.Secret(f.Token())}
		remote, err := p.Resolve(t.Context(), providers.ResolveRequest{
			Locator: providers.Locator{Host: f.Host(), Owner: "acme", Name: "widget"}, Contact: true, Stored: stored,
		})
		require.NoError(t, err)
		require.Equal(t, "Acme/Widget", remote.Path)
		c, err := p.Credential(t.Context(), providers.CredentialRequest{Remote: remote, Operation: providers.OpPush, Stored: stored})
		require.NoError(t, err)
		require.NotEmpty(t, c.Username)
	}
}

func TestProvider_Resolve_hostRequired(t *testing.T) {
	t.Parallel()
	p := gitea.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{}))
	_, err := p.Resolve(t.Context(), providers.ResolveRequest{Locator: providers.Locator{Owner: "acme", Name: "widget"}})
	require.Equal(t, providers.CodeInvalidArgument, providers.CodeOf(err))
	require.EqualError(t, err, "upstream_host is required: Gitea has no default host")
}
