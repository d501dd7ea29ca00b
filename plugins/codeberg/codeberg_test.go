package codeberg_test

import (
	"testing"

	"github.com/headwater-git/headwater/plugins/codeberg"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/providers/plugintest"
)

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	plugintest.Run(t, codeberg.New, plugintest.Fixture{HostKind: forgetest.HostCodeberg})
}
