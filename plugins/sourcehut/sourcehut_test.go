package sourcehut_test

import (
	"testing"

	"github.com/headwater-git/headwater/plugins/sourcehut"
	"github.com/headwater-git/headwater/providers/providertest"
)

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	providertest.Run(t, sourcehut.New, providertest.Fixture{Dress: providertest.DressSourceHut})
}
