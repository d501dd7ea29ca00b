package forgejo_test

import (
	"testing"

	"github.com/headwater-git/headwater/plugins/forgejo"
	"github.com/headwater-git/headwater/providers/providertest"
)

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	providertest.Run(t, forgejo.New, providertest.Fixture{Dress: providertest.DressForgejo})
}
