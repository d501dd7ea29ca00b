package bitbucket_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/bitbucket"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/providers/plugintest"
)

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	plugintest.Run(t, bitbucket.New, plugintest.Fixture{HostKind: forgetest.HostBitbucket})
}

func TestProvider_Credential_username(t *testing.T) {
	t.Parallel()
	p := bitbucket.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{}))
	tests := map[string]struct {
		stored providers.StoredCredential
		want   string
	}{
		"access token":                {providers.StoredCredential{Secret: "ATCTTx"}, "x-token-auth"},
		"access token, name given":    {providers.StoredCredential{Username: "x-token-auth", Secret: "ATCTTx"}, "x-token-auth"},
		"app password":                {providers.StoredCredential{Username: "river", Secret: "ATBBx"}, "river"},
		"API token":                   {providers.StoredCredential{Secret: "ATATTx"}, "x-bitbucket-api-token-auth"},
		"API token with e-mail":       {providers.StoredCredential{Username: "river@example.com", Secret: "ATATTx"}, "x-bitbucket-api-token-auth"},
		"API token with account name": {providers.StoredCredential{Username: "river", Secret: "ATATTx"}, "river"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := p.Credential(t.Context(), providers.CredentialRequest{
				Remote:    providers.Remote{Host: "bitbucket.org", Path: "acme/widget"},
				Operation: providers.OpPush, Stored: &test.stored,
			})
			require.NoError(t, err)
			require.Equal(t, test.want, c.Username)
			require.Equal(t, test.stored.Secret.Reveal(), c.Secret.Reveal())
		})
	}
}

func TestProvider_Resolve_appPassword(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostBitbucket})
	f.CreateRepo("acme/widget", true)
	p := bitbucket.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{Hosts: []providers.HostPolicy{f.HostPolicy()}}))
	remote, err := p.Resolve(t.Context(), providers.ResolveRequest{
		Locator: providers.Locator{Host: f.Host(), Owner: "acme", Name: "widget"},
		Contact: true,
		Stored: &providers.StoredCredential{
			Username: forgetest.User,
			Secret:   providers.Secret(f.MintToken(forgetest.TokenOptions{AppPassword: true})),
		},
	})
	require.NoError(t, err)
	require.Equal(t, f.RepoID("acme/widget"), remote.UpstreamID)
}

// A host that is not Bitbucket Cloud has another API or none; git is asked.
func TestProvider_Resolve_otherHost(t *testing.T) {
	t.Parallel()
	f := forgetest.StartForge(t, forgetest.ForgeOptions{HostKind: forgetest.HostBitbucket})
	f.CreateRepo("acme/widget", true)
	policy := f.HostPolicy()
	policy.APIURL = ""
	p := bitbucket.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{Hosts: []providers.HostPolicy{policy}}))
	_, err := p.Resolve(t.Context(), providers.ResolveRequest{
		Locator: providers.Locator{Host: f.Host(), Owner: "acme", Name: "widget"}, Contact: true, Stored: f.Stored(),
	})
	require.NoError(t, err)
	require.Zero(t, f.Count(forgetest.KindAPI))
	require.Equal(t, 1, f.Count(forgetest.KindDiscover))
}
