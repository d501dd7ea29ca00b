package bitbucket_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/bitbucket"
	"github.com/headwater-git/headwater/plugins/internal/webhooktest"
	"github.com/headwater-git/headwater/providers"
)

func suite(t testing.TB) webhooktest.Suite {
	t.Helper()
	p := bitbucket.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{}))
	return webhooktest.Suite{
		Provider: p, Secrets: []providers.Secret{"s3cr3t-0123456789"},
		Sign: webhooktest.HMAC("X-Hub-Signature", "sha256="),
		Push: "repo-push",
		Remote: providers.Remote{
			Host: "bitbucket.org", Path: "Team_Name/repo_name", UpstreamID: "{673a6070-3421-46c9-9d48-90745f7bfe8e}",
		},
		Signatures: []string{"X-Hub-Signature"},
	}
}

func TestProvider_ParseWebhook_recorded(t *testing.T) {
	t.Parallel()
	suite(t).Run(t)
}

func TestProvider_ParseWebhook_renamedPath(t *testing.T) {
	t.Parallel()
	s := suite(t)
	r := s.Read(t, "made-updated-name")
	r.Repository = &providers.Remote{Host: "bitbucket.org", Path: "team_name/old_name"} // its id was never known
	result, err := s.Provider.ParseWebhook(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, providers.WebhookRenamed, result.Kind)
	require.Equal(t, "team_name/repo_name", result.RepositoryPath)
}

func FuzzProvider_ParseWebhook(f *testing.F) {
	suite(f).Fuzz(f, "X-Event-Key")
}
