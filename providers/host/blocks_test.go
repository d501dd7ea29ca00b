package host

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/providers"
)

func TestCatalog_CheckBlocks_misspelt(t *testing.T) {
	t.Parallel()
	b := setup(t, acmeBlock(t, `no_such_attribute = "x"`), nil)
	err := b.CheckBlocks(t.Context())
	requireCode(t, err, providers.CodeInvalidConfig)
	require.ErrorContains(t, err, `provider "acme" has no attribute "no_such_attribute"`)

	// What cannot be launched is no fault of its attributes.
	broken := setup(t, externalBlock(t, "acme", "/bin/false", `no_such_attribute = "x"`), nil)
	require.NoError(t, broken.CheckBlocks(t.Context()))
}
