package forgejo_test

import (
	"testing"

	"github.com/headwater-git/headwater/internal/forgetest"
	"github.com/headwater-git/headwater/internal/plugintest"
	"github.com/headwater-git/headwater/plugins/forgejo"
)

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	plugintest.Run(t, forgejo.New, plugintest.Fixture{HostKind: forgetest.HostForgejo})
}
