package providertest_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
	"github.com/headwater-git/headwater/providers/providertest"
)

func TestLoopback_replacedFunction(t *testing.T) {
	t.Parallel()
	l := &providertest.Loopback{
		ProbeFunc: func(context.Context, providers.ProbeRequest) (providers.ProbeResult, error) {
			return providers.ProbeResult{}, providers.Errorf(providers.CodeRevoked, "gone")
		},
	}
	_, err := l.Probe(t.Context(), providers.ProbeRequest{})
	require.Equal(t, providers.CodeRevoked, providers.CodeOf(err))
	remote, err := l.Resolve(t.Context(), providers.ResolveRequest{
		Locator: providers.Locator{Host: "127.0.0.1:1", Owner: "a", Name: "b"},
	})
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:1/a/b.git", remote.URL)
}
