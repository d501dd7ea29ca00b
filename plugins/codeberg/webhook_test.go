package codeberg_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/codeberg"
	"github.com/headwater-git/headwater/plugins/internal/webhooktest"
	"github.com/headwater-git/headwater/providers"
)

func suite(t *testing.T) webhooktest.Suite {
	t.Helper()
	p := codeberg.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{}))
	return webhooktest.Suite{
		Provider: p, Secrets: []providers.Secret{"s3cr3t"}, Recorded: true,
		Sign: webhooktest.HMAC("X-Hub-Signature-256", "sha256=", "X-Forgejo-Signature", "X-Gitea-Signature"),
		Push: "made-push", Remote: providers.Remote{Host: "codeberg.org", Path: "root1/src", UpstreamID: "1"},
		Signatures: []string{"X-Hub-Signature-256", "X-Forgejo-Signature", "X-Gitea-Signature"},
	}
}

func TestProvider_ParseWebhook_recorded(t *testing.T) {
	t.Parallel()
	suite(t).Run(t)
}

func TestProvider_ParseWebhook_ownSignature(t *testing.T) {
	t.Parallel()
	suite(t).RunAlone(t, "X-Forgejo-Signature", "X-Gitea-Signature")
}
