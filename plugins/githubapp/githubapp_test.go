package githubapp_test

import (
	"testing"

	"github.com/headwater-git/headwater/plugins/githubapp"
	"github.com/headwater-git/headwater/providers/providertest"
)

func appAttributes(f *providertest.Forge) map[string]any {
	return map[string]any{"app_id": providertest.AppID, "private_key": string(f.AppKey())}
}

func TestProvider_contract(t *testing.T) {
	t.Parallel()
	providertest.Run(t, githubapp.New, providertest.Fixture{
		Dress:      providertest.DressGitHub,
		Attributes: appAttributes,
		KnownHosts: true,
		BadAttributes: map[string]map[string]any{
			"app_id":           {"private_key": "x"},
			"private_key":      {"app_id": 1, "private_key": "planted-0dd5ecre7-must-not-be-seen"},
			"private_key_file": {"app_id": 1, "private_key_file": "/nonexistent/key.pem"},
			"installation_id":  {"app_id": 1, "private_key": "x", "installation_id": -1},
		},
	})
}
