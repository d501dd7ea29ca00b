package bitbucket_test

import (
	"testing"

	"github.com/headwater-git/headwater/plugins/bitbucket"
	"github.com/headwater-git/headwater/providers/providertest"
)

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	providertest.Run(t, bitbucket.New, providertest.Fixture{Dress: providertest.DressBitbucket})
}
