package forgejo_test

import (
	"testing"

	"github.com/headwater-git/headwater/plugins/forgejo"
	"github.com/headwater-git/headwater/providers/forgetest"
	"github.com/headwater-git/headwater/providers/plugintest"
)

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	plugintest.Run(t, forgejo.New, plugintest.Fixture{HostKind: forgetest.HostForgejo})
}
