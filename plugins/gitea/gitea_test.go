package gitea_test

import (
	"testing"

	"github.com/headwater-git/headwater/plugins/gitea"
	"github.com/headwater-git/headwater/providers/providertest"
)

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	providertest.Run(t, gitea.New, providertest.Fixture{Dress: providertest.DressGitea})
}
