package codeberg_test

import (
	"testing"

	"github.com/headwater-git/headwater/internal/forgetest"
	"github.com/headwater-git/headwater/internal/plugintest"
	"github.com/headwater-git/headwater/plugins/codeberg"
)

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	plugintest.Run(t, codeberg.New, plugintest.Fixture{HostKind: forgetest.HostCodeberg})
}
