package gitlab_test

import (
	"testing"

	"github.com/headwater-git/headwater/plugins/gitlab"
	"github.com/headwater-git/headwater/providers/providertest"
)

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	providertest.Run(t, gitlab.New, providertest.Fixture{Dress: providertest.DressGitLab, NestedOwners: true})
}
