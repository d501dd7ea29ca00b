package codeberg_test

import (
	"testing"

	"github.com/headwater-git/headwater/plugins/codeberg"
	"github.com/headwater-git/headwater/providers/providertest"
)

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	providertest.Run(t, codeberg.New, providertest.Fixture{Dress: providertest.DressCodeberg})
}
