package sourcehut_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/sourcehut"
	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/providers/plugintest"
)

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	plugintest.Run(t, sourcehut.New, plugintest.Fixture{HostKind: forgetest.HostSourceHut})
}

func TestProvider_Resolve_tilde(t *testing.T) {
	t.Parallel()
	p := sourcehut.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{}))
	for _, owner := range []string{"river", "~river"} {
		remote, err := p.Resolve(t.Context(), providers.ResolveRequest{Locator: providers.Locator{Owner: owner, Name: "widget"}})
		require.NoError(t, err)
		require.Equal(t, "https://git.sr.ht/~river/widget", remote.URL)
		require.Equal(t, "~river/widget", remote.Path)
		require.False(t, remote.PushSupported)
	}
	for _, owner := range []string{"~", "~~river", "ri~ver"} {
		_, err := p.Resolve(t.Context(), providers.ResolveRequest{Locator: providers.Locator{Owner: owner, Name: "widget"}})
		require.Equal(t, providers.CodeInvalidArgument, providers.CodeOf(err), owner)
	}
}
