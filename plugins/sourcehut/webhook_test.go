package sourcehut_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/headwater-git/headwater/plugins/internal/webhooktest"
	"github.com/headwater-git/headwater/plugins/sourcehut"
	"github.com/headwater-git/headwater/providers"
)

// hostKey is the key of a SourceHut, always the same, so that tests are.
func hostKey(b byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(slices.Repeat([]byte{b}, ed25519.SeedSize))
}

func public(key ed25519.PrivateKey) string {
	return base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
}

func signWith(key ed25519.PrivateKey) func(*providers.WebhookRequest, providers.Secret) {
	return func(r *providers.WebhookRequest, _ providers.Secret) {
		const nonce = "0123456789abcdef"
		signature := ed25519.Sign(key, append(slices.Clone(r.Body), nonce...))
		r.Header.Set("X-Payload-Nonce", nonce)
		r.Header.Set("X-Payload-Signature", base64.StdEncoding.EncodeToString(signature))
	}
}

func configured(t testing.TB, attributes map[string]any) providers.Provider {
	t.Helper()
	raw, err := json.Marshal(attributes)
	require.NoError(t, err)
	p := sourcehut.New()
	require.NoError(t, p.Configure(t.Context(), providers.Config{Attributes: raw}))
	return p
}

func suite(t testing.TB, attributes map[string]any) webhooktest.Suite {
	t.Helper()
	return webhooktest.Suite{
		Provider: configured(t, attributes), Sign: signWith(hostKey(1)), OwnKeys: true,
		Push: "made-push", Remote: providers.Remote{Host: "git.sr.ht", Path: "~river/widget"},
		Signatures: []string{"X-Payload-Signature"},
	}
}

func TestProvider_ParseWebhook_made(t *testing.T) {
	t.Parallel()
	suite(t, map[string]any{"webhook_public_key": public(hostKey(1))}).Run(t)
}

func TestProvider_ParseWebhook_keys(t *testing.T) {
	t.Parallel()
	one, two := public(hostKey(1)), public(hostKey(2))
	tests := map[string]struct {
		attributes map[string]any
		ok         bool
	}{
		"one":         {map[string]any{"webhook_public_key": one}, true},
		"several":     {map[string]any{"webhook_public_keys": []string{two, one}}, true},
		"both":        {map[string]any{"webhook_public_key": two, "webhook_public_keys": []string{one}}, true},
		"another one": {map[string]any{"webhook_public_key": two}, false},
		"none":        {map[string]any{}, false},
		"empty list":  {map[string]any{"webhook_public_keys": []string{}}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := suite(t, test.attributes)
			r := s.Read(t, "made-push")
			// What is no secret of anybody must not be accepted either.
			r.Secrets = []providers.Secret{"", providers.Secret(one)}
			_, err := s.Provider.ParseWebhook(t.Context(), r)
			if test.ok {
				require.NoError(t, err)
				return
			}
			require.Equal(t, providers.CodeSignatureInvalid, providers.CodeOf(err), "%v", err)
		})
	}
}

func TestProvider_ParseWebhook_nonce(t *testing.T) {
	t.Parallel()
	s := suite(t, map[string]any{"webhook_public_key": public(hostKey(1))})
	r := s.Read(t, "made-push")
	r.Header.Set("X-Payload-Nonce", "fedcba9876543210")
	_, err := s.Provider.ParseWebhook(t.Context(), r)
	require.Equal(t, providers.CodeSignatureInvalid, providers.CodeOf(err))
	r.Header.Del("X-Payload-Nonce")
	_, err = s.Provider.ParseWebhook(t.Context(), r)
	require.Equal(t, providers.CodeSignatureInvalid, providers.CodeOf(err))
}

// Case decides at SourceHut: ~river/Widget is another repository.
func TestProvider_ParseWebhook_case(t *testing.T) {
	t.Parallel()
	s := suite(t, map[string]any{"webhook_public_key": public(hostKey(1))})
	r := s.Read(t, "made-push")
	r.Repository = &providers.Remote{Path: "~river/Widget"}
	_, err := s.Provider.ParseWebhook(t.Context(), r)
	require.Equal(t, providers.CodeInvalidArgument, providers.CodeOf(err))
}

func TestProvider_Configure_malformedKey(t *testing.T) {
	t.Parallel()
	for _, attributes := range []string{
		`{"webhook_public_key":"?"}`, `{"webhook_public_key":"AAAA"}`, `{"webhook_public_keys":[""]}`, `{"webhook_public_keys":"x"}`,
	} {
		err := sourcehut.New().Configure(t.Context(), providers.Config{Attributes: json.RawMessage(attributes)})
		require.Equal(t, providers.CodeInvalidConfig, providers.CodeOf(err), attributes)
		require.ErrorContains(t, err, "webhook_public_key")
	}
}

func TestProvider_EnsureWebhook_unsupported(t *testing.T) {
	t.Parallel()
	p := configured(t, nil)
	registrar, ok := p.(providers.WebhookRegistrar)
	require.True(t, ok)
	_, err := registrar.EnsureWebhook(t.Context(), providers.EnsureWebhookRequest{
		Remote: providers.Remote{Host: "git.sr.ht", Path: "~river/widget"}, Stored: &providers.StoredCredential{Secret: "x"},
		URL: "https://git.example.org/webhooks/x", Secret: "s3cr3t",
	})
	require.Equal(t, providers.CodeUnsupported, providers.CodeOf(err))
}

func FuzzProvider_ParseWebhook(f *testing.F) {
	suite(f, map[string]any{"webhook_public_key": public(hostKey(1))}).Fuzz(f, "X-Webhook-Event")
}
