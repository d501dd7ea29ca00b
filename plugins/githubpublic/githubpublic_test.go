package githubpublic_test

import (
	"testing"

	"github.com/headwater-git/headwater/plugins/githubpublic"
	"github.com/headwater-git/headwater/providers/providertest"
)

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	providertest.Run(t, githubpublic.New, providertest.Fixture{Dress: providertest.DressGitHubPublic, KnownHosts: true})
}
